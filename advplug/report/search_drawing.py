"""The modules of a model in the order of its forward pass, with what a trace found in them, as an inline SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from textwrap import shorten, wrap
from xml.sax.saxutils import escape, quoteattr

from advplug.records.composition import Place, PlaceKind

WIDTH = 340
"""Of the drawing, in units of a CSS pixel: narrow enough for a phone."""

_LETTERS = 41  # of a line of a note
_LINE, _HEAD, _GAP = 17, 26, 26
_RAIL = 12  # where the gradient runs, left of the boxes
_LEFT = 34

STOPS: tuple[PlaceKind, ...] = ("dead", "disconnected")
BENDS: tuple[PlaceKind, ...] = ("constant", "replaced")

WORDS: dict[PlaceKind, str] = {
    "scores": "scores",
    "dead": "the gradient dies",
    "constant": "its gradient is constant",
    "replaced": "its gradient is replaced",
    "disconnected": "no gradient is recorded",
    "random": "draws random numbers",
    "whole numbers": "whole numbers",
    "vote": "a vote",
}
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
}
"""Outline in a square of 10 by 10, and the name of its colour on the page."""

CAPTION = (
    "From top to bottom: the forward pass, with the modules in which the trace found something; others are left out. "
    "The line on the left is the gradient on its way back, from the scores below to the input above: whole where it is "
    "exact as far as the trace tells, dashed where a module has changed it, absent where it died."
)


@dataclass(frozen=True)
class Box:
    """One module of the drawing with the lines of each of its marks, and the gradient below it on its way back."""

    name: str
    type: str
    marks: tuple[tuple[PlaceKind, tuple[str, ...]], ...]
    arrives: str
    leaves: str

    @property
    def height(self) -> int:
        """With its frame."""
        return _HEAD + _LINE * sum(len(lines) for _, lines in self.marks) + 8


def drawing(places: Sequence[Place]) -> str:
    """The drawing as HTML, "" where the trace found nothing; its text is escaped."""
    if not places:
        return ""
    found = boxes(places)
    parts, y = [_end(14, "input")], 24
    for box in found:
        parts.append(_rail(y, _GAP, box.leaves))
        y += _GAP
        parts += [_rail(y, box.height // 2, box.leaves), _rail(y + box.height // 2, box.height // 2, box.arrives)]
        parts.append(_box(box, y))
        y += box.height
    parts += [_rail(y, _GAP, "exact"), _end(y + _GAP + 14, "scores")]
    height = y + _GAP + 24
    return (
        f'<svg class="modules" role="img" viewBox="0 0 {WIDTH} {height}" aria-label={quoteattr(alternative(places))}>'
        f"{''.join(parts)}</svg>"
    )


def alternative(places: Sequence[Place]) -> str:
    """The same for who does not see it."""
    clauses = [f"{_title(place)}: {_said(place)}" for place in places]
    return f"The forward pass through {len(boxes(places))} modules in which the trace found something. " + "; ".join(
        clauses
    )


def boxes(places: Sequence[Place]) -> list[Box]:
    """Modules in the order of the forward pass, each with all that was found in it."""
    groups = [list(group) for _, group in groupby(places, key=lambda place: (place.module, place.type))]
    found: list[Box] = []
    arrives = "exact"
    for group in reversed(groups):
        leaves = _after(arrives, {place.kind for place in group})
        marks = tuple((place.kind, tuple(wrap(_said(place), _LETTERS))) for place in group)
        found.append(Box(_title(group[0]), group[0].type, marks, arrives, leaves))
        arrives = leaves
    return found[::-1]


def _after(gradient: str, kinds: set[PlaceKind]) -> str:
    """What becomes of the gradient in a module with such marks."""
    if gradient == "none" or kinds & set(STOPS):
        return "none"
    return "changed" if kinds & set(BENDS) else gradient


def _title(place: Place) -> str:
    return place.module or "the whole model"


def _said(place: Place) -> str:
    note = place.note.strip()
    return f"{WORDS[place.kind]}: {note}" if note else WORDS[place.kind]


def _end(y: int, text: str) -> str:
    return f'<text class="end" x="{_LEFT}" y="{y}">{text}</text>'


def _rail(y: int, length: int, gradient: str) -> str:
    if gradient == "none":
        return ""
    return f'<path class="{gradient}" d="M{_RAIL} {y}v{length}"/>'


def _box(box: Box, y: int) -> str:
    title = escape(shorten(f"{box.name}  {box.type}", 40, placeholder="..."))
    frame = f'<rect x="{_LEFT}" y="{y}" width="{WIDTH - _LEFT - 1}" height="{box.height}" rx="4"/>'
    return frame + f'<text class="name" x="{_LEFT + 10}" y="{y + 18}">{title}</text>' + "".join(_marks(box, y + _HEAD))


def _marks(box: Box, y: int) -> Iterator[str]:
    for kind, lines in box.marks:
        outline, colour = _MARKS[kind]
        yield f'<path class="{colour}" transform="translate({_LEFT + 10} {y + 3})" d="{outline}"/>'
        for line in lines:
            yield f'<text x="{_LEFT + 26}" y="{y + 12}">{escape(line)}</text>'
            y += _LINE
