"""The modules of a model in the order of its forward pass, with what a trace found in them, as an inline SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from textwrap import wrap
from xml.sax.saxutils import escape, quoteattr

from advplug.records.composition import Place, PlaceKind

WIDTH = 340
"""Of the drawing, in units of a CSS pixel: narrow enough for a phone."""

_LETTERS, _LEAST = 41, 25  # of a line of a note, in the outermost and in the innermost frame
_LINE, _HEAD, _GAP = 17, 26, 18
_RAIL = 12  # where the gradient runs, left of the frames
_LEFT, _STEP, _DEEPEST = 34, 12, 5

STOPS: tuple[PlaceKind, ...] = ("dead", "disconnected")
BENDS: tuple[PlaceKind, ...] = ("constant", "replaced")

WORDS: dict[PlaceKind, str] = {
    "scores": "gives scores",
    "dead": "the gradient dies",
    "constant": "its gradient is constant",
    "replaced": "its gradient is replaced",
    "disconnected": "no gradient is recorded",
    "random": "draws random numbers",
    "whole numbers": "whole numbers",
    "vote": "a vote",
    "opaque": "nothing inside can be hooked",
    "saturated": "the scores lie far apart",
    "rejects": "it rejects inputs",
    "batch": "an answer depends on its batch",
    "cost": "what a pass costs",
}
"""What is said of a place without a note."""

_CROSS = "M2.6 .6L5 3L7.4 .6L9.4 2.6L7 5l2.4 2.4l-2 2L5 7L2.6 9.4l-2-2L3 5L.6 2.6z"
_DISK = "M5 1a4 4 0 1 0 .01 0z"
_TRIANGLE = "M5 .8L9.4 8.8H.6z"
_SQUARE = "M1.5 1.5h7v7h-7z"
_DIAMOND = "M5 .2L9.8 5L5 9.8L.2 5z"
_MARKS: dict[PlaceKind, tuple[str, str]] = {
    "scores": (_DISK, "good"),
    "dead": (_CROSS, "bad"),
    "disconnected": (_CROSS, "bad"),
    "constant": (_TRIANGLE, "bad"),
    "replaced": (_TRIANGLE, "bad"),
    "random": (_DIAMOND, "doubt"),
    "whole numbers": (_SQUARE, "doubt"),
    "vote": (_SQUARE, "doubt"),
    "opaque": (_SQUARE, "doubt"),
    "saturated": (_TRIANGLE, "doubt"),
    "rejects": (_DIAMOND, "doubt"),
    "batch": (_DIAMOND, "doubt"),
    "cost": (_DISK, "good"),
}
"""Outline in a square of 10 by 10, and the name of its colour on the page."""

CAPTION = (
    "From top to bottom: the forward pass, with the modules in which the trace found something; others are left out. A "
    "frame around others is a module that contains them: what it says of itself lies somewhere between them. The line "
    "on the left is the gradient on its way back, from the scores below to the input above: whole where it is exact as "
    "far as the trace tells, dashed where a module has changed it, absent where it died."
)


@dataclass
class Box:
    """A module of the drawing with all that was found in it, and the modules inside that something was found in, too.

    The gradient comes from below: it ``arrives``, is ``inside`` above the inner modules, and ``leaves`` at the top.
    """

    name: str
    type: str
    places: list[Place]
    inner: list[Box] = field(default_factory=list)
    arrives: str = "exact"
    inside: str = "exact"
    leaves: str = "exact"

    def lines(self, depth: int) -> list[tuple[PlaceKind, list[str]]]:
        """Each mark with the lines of its note."""
        letters = max(_LEAST, _LETTERS - 4 * depth)
        return [(place.kind, wrap(_said(place), letters)) for place in self.places]

    def head(self, depth: int) -> int:
        """Height of what stands above the inner modules."""
        return _HEAD + _LINE * sum(len(lines) for _, lines in self.lines(depth)) + 8

    def height(self, depth: int) -> int:
        """With the frame."""
        inner = sum(box.height(depth + 1) + _GAP for box in self.inner)
        return self.head(depth) + inner


def drawing(places: Sequence[Place]) -> str:
    """The drawing as HTML, "" where the trace found nothing; its text is escaped."""
    if not places:
        return ""
    parts, y = [_end(14, "input")], 24
    for box in boxes(places):
        parts.append(_rail(y, _GAP, box.leaves))
        y += _GAP
        parts += _drawn(box, y, 0)
        y += box.height(0)
    parts += [_rail(y, _GAP, "exact"), _end(y + _GAP + 14, "scores")]
    height = y + _GAP + 24
    return (
        f'<svg class="modules" role="img" viewBox="0 0 {WIDTH} {height}" aria-label={quoteattr(alternative(places))}>'
        f"{''.join(parts)}</svg>"
    )


def alternative(places: Sequence[Place]) -> str:
    """The same for who does not see it."""
    count = len(_modules(places))
    clauses = "; ".join(f"{place.module or 'the whole model'}: {_said(place)}" for place in places)
    return f"The forward pass through {count} modules in which the trace found something. {clauses}"


def boxes(places: Sequence[Place]) -> list[Box]:
    """The outermost modules in the order of the forward pass, each with those inside."""
    found = _modules(places)
    outermost: list[Box] = []
    for name, box in found.items():
        around = [other for other in found if other != name and _encloses(other, name)]
        (found[max(around, key=len)].inner if around else outermost).append(box)
    gradient = "exact"
    for box in reversed(outermost):
        gradient = _follow(box, gradient)
    return outermost


def _modules(places: Sequence[Place]) -> dict[str, Box]:
    """Each module by its name, in the order of the forward pass."""
    found: dict[str, Box] = {}
    for place in places:
        box = found.setdefault(place.module, Box(place.module or "the whole model", place.type, []))
        box.places.append(place)
    return found


def _encloses(outer: str, inner: str) -> bool:
    return not outer or inner.startswith(f"{outer}.")


def _follow(box: Box, gradient: str) -> str:
    """Take the gradient from below through ``box``; returns what leaves it."""
    box.arrives = gradient
    for inner in reversed(box.inner):
        gradient = _follow(inner, gradient)
    box.inside = gradient
    kinds = {place.kind for place in box.places}
    if gradient == "none" or kinds & set(STOPS):
        box.leaves = "none"
    else:
        box.leaves = "changed" if kinds & set(BENDS) else gradient
    return box.leaves


def _said(place: Place) -> str:
    note = place.note.strip()
    return f"{place.kind}: {note}" if note else WORDS[place.kind]


def _drawn(box: Box, y: int, depth: int) -> Iterator[str]:
    """The frame with its marks, the gradient beside it, and the same of what is inside."""
    x = _LEFT + _STEP * min(depth, _DEEPEST)
    head = box.head(depth)
    width = WIDTH - 1 - x - _STEP // 2 * min(depth, _DEEPEST)
    yield f'<rect x="{x}" y="{y}" width="{width}" height="{box.height(depth)}" rx="4"/>'
    title = _ending(f"{box.name} {box.type}", max(_LEAST, _LETTERS - 1 - 4 * depth))
    yield f'<text class="name" x="{x + 10}" y="{y + 18}">{escape(title)}</text>'
    yield from _marks(box, x + 10, y + _HEAD, depth)
    yield _rail(y, head // 2, box.leaves)
    yield _rail(y + head // 2, head - head // 2, box.inside)
    y += head
    for inner in box.inner:
        yield from _drawn(inner, y, depth + 1)
        y += inner.height(depth + 1)
        yield _rail(y, _GAP, inner.arrives)
        y += _GAP


def _marks(box: Box, x: int, y: int, depth: int) -> Iterator[str]:
    for kind, lines in box.lines(depth):
        outline, colour = _MARKS[kind]
        yield f'<path class="{colour}" transform="translate({x} {y + 3})" d="{outline}"/>'
        for line in lines:
            yield f'<text x="{x + 16}" y="{y + 12}">{escape(line)}</text>'
            y += _LINE


def _ending(text: str, letters: int) -> str:
    """``text``, or its end where it is too long: names of modules differ there."""
    return text if len(text) <= letters else f"...{text[3 - letters :]}"


def _end(y: int, text: str) -> str:
    return f'<text class="end" x="{_LEFT}" y="{y}">{text}</text>'


def _rail(y: int, length: int, gradient: str) -> str:
    if gradient == "none":
        return ""
    return f'<path class="{gradient}" d="M{_RAIL} {y}v{length}"/>'
