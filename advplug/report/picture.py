"""What every figure of the page comes with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from textwrap import shorten

from matplotlib.figure import Figure

from advplug.records.evaluation import Row
from advplug.report.summary import SHORT


@dataclass(frozen=True)
class Player:
    """A sound that can be heard: ``source`` is a ``data:`` URI, ``label`` says what it is."""

    label: str
    source: str


@dataclass(frozen=True)
class Picture:
    """A figure with its words.

    Parameters
    ----------
    title: of its section.
    caption: how to read it; the reason where there is no figure.
    figure: None where there is nothing to draw.
    alt: what the figure shows of this evaluation, in figures, for who does not see it.
    players: sounds below the figure.
    """

    title: str
    caption: str
    figure: Figure | None = None
    alt: str = ""
    players: tuple[Player, ...] = ()


def label(row: Row, width: int | None = None) -> str:
    """Attack and library, as matplotlib prints it; cut to ``width`` characters."""
    text = name(row)
    return (text if width is None else shorten(text, width, placeholder=" ...")).replace("$", r"\$")


def name(row: Row) -> str:
    """Attack, and library where it is another one than advplug."""
    return row.name if row.library in ("advplug", "") else f"{row.name} ({SHORT.get(row.library, row.library)})"


def listed(parts: Iterable[str]) -> str:
    """Clauses in a row, with a full stop."""
    text = "; ".join(parts)
    return f"{text}." if text else ""
