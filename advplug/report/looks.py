"""The colour and the marker of each attack, the same in the table and in every figure."""

from __future__ import annotations

from dataclasses import dataclass

from advplug.records.evaluation import Evaluation
from advplug.report.style import ADAPTIVE, PALETTE

_SHAPES = {
    "o": "M5 1a4 4 0 1 0 .01 0z",
    "s": "M1.5 1.5h7v7h-7z",
    "^": "M5 .8L9.4 8.8H.6z",
    "D": "M5 .2L9.8 5L5 9.8L.2 5z",
    "v": "M5 9.2L.6 1.2h8.8z",
    "P": "M3.5 .8h3v2.7h2.7v3H6.5v2.7h-3V6.5H.8v-3h2.7z",
    "X": "M2.6 .6L5 3L7.4 .6L9.4 2.6L7 5l2.4 2.4l-2 2L5 7L2.6 9.4l-2-2L3 5L.6 2.6z",
    "p": "M5 .6L9.6 4L7.8 9.4H2.2L.4 4z",
    "h": "M5 .3L9.1 2.65v4.7L5 9.7L.9 7.35v-4.7z",
}
"""Markers of matplotlib, and their outlines in a square of 10 by 10."""


@dataclass(frozen=True)
class Look:
    """How an attack is drawn.

    Parameters
    ----------
    colour: on light paper, ``#rrggbb``; figures follow the reader's scheme by themselves.
    number: of the colour in the palette, which the page's sheet names ``--r0`` and so on.
    marker: as matplotlib names it.
    """

    colour: str
    number: int
    marker: str

    @property
    def outline(self) -> str:
        """The marker as an SVG path in a square of 10 by 10."""
        return _SHAPES[self.marker]


def looks(evaluation: Evaluation) -> tuple[Look, ...]:
    """One look for each row, no two alike among as many rows as there are pairs of colour and marker.

    The first adaptive attack, if there is one, has the colour that no other attack has before all are in use.
    """
    first = next((number for number, row in enumerate(evaluation.rows) if row.role == "adaptive"), None)
    return numbered(len(evaluation.rows), first)


def colours(evaluation: Evaluation) -> tuple[str, ...]:
    """The colour of each row, for figures of plugins: that of the row in the table and in all other figures."""
    return tuple(look.colour for look in looks(evaluation))


def numbered(count: int, distinguished: int | None = None) -> tuple[Look, ...]:
    """``count`` looks; the one at ``distinguished`` has the colour of adaptive attacks."""
    shades, markers = list(PALETTE), list(_SHAPES)
    kept = shades.index(ADAPTIVE)
    others = [number for number in range(len(shades)) if distinguished is None or number != kept]
    found: list[Look] = []
    for taken in range(count - (distinguished is not None)):
        lap, place = divmod(taken, len(others))
        number = others[place]
        found.append(Look(shades[number], number, markers[(place + lap) % len(markers)]))
    if distinguished is not None:
        found.insert(distinguished, Look(ADAPTIVE, kept, markers[len(others) % len(markers)]))
    return tuple(found)
