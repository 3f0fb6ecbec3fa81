"""Tables of figures that stay readable in a narrow terminal.

Where there is room the texts stand in columns of their own. Where there is not, each role becomes a heading and the
library stands behind the name; figures that still find no room go into further tables with the same names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

NAME = 20
"""Least width of a name: a longer one takes several lines before the table takes its other form."""

_HEAD = "attack (library)"
_WIDE_GAP, _GAP = 3, 2  # columns between two of the table: the padding on both sides and the line of the box


@dataclass(frozen=True)
class Line:
    """One line: a role, what it is about, where that comes from, and a figure of one or two lines for each head."""

    role: str
    name: str
    library: str
    figures: tuple[str, ...]
    bold: bool = False


def print_figures(console: Console, width: int, heads: Sequence[str], lines: Sequence[Line]) -> None:
    """Print ``lines`` within ``width`` columns; heads without any figure are left out."""
    shown = [number for number in range(len(heads)) if any(line.figures[number] for line in lines)]
    widths = {
        number: _widest(heads[number], (part for line in lines for part in line.figures[number].split("\n")))
        for number in shown
    }
    texts = [_widest("role", (line.role for line in lines)), _widest("library", (line.library for line in lines))]
    names = _widest("attack", (line.name for line in lines))
    if sum(texts) + min(names, NAME) + sum(widths.values()) + _WIDE_GAP * (len(shown) + 2) <= width:
        console.print(_wide(heads, shown, lines), width=width)
        return
    names = _widest(_HEAD, map(_named, lines))
    for number, part in enumerate(_parts(widths, width - min(names, NAME) - _GAP)):
        if number:
            console.print()
        console.print(_narrow(heads, part, lines), width=width)


def _named(line: Line) -> str:
    return f"{line.name} ({line.library})" if line.library else line.name


def broken(text: str, room: int) -> str:
    """``text`` with its words of more than ``room`` letters in lines that end at hyphens, where they have some."""
    return re.sub(r"\S+", lambda word: "\n".join(_lines_of(word[0], room)), text)


def _lines_of(word: str, room: int) -> list[str]:
    lines = [""]
    for part in re.findall(r"[^-_/]+[-_/]*|[-_/]+", word):
        if lines[-1] and len(lines[-1] + part) > room:
            lines.append("")
        lines[-1] += part
    return lines


def table_of(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table of texts, of which long ones take several lines."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    for name in head:
        table.add_column(Text(name), overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _widest(head: str, texts: Iterable[str]) -> int:
    return max(len(head), *map(len, texts))


def _parts(widths: dict[int, int], room: int) -> list[list[int]]:
    """The numbers of the heads, as many in each part as fit into ``room`` columns; at least one."""
    parts: list[list[int]] = [[]]
    for number, width in widths.items():
        if parts[-1] and sum(widths[other] + _GAP for other in parts[-1]) + width > room:
            parts.append([])
        parts[-1].append(number)
    return parts


def _wide(heads: Sequence[str], shown: Sequence[int], lines: Sequence[Line]) -> Table:
    table = _empty(padding=(0, 1))
    table.add_column("role", no_wrap=True)
    table.add_column("attack", overflow="fold")
    table.add_column("library", no_wrap=True)
    _add_figures(table, [heads[number] for number in shown])
    for line in lines:
        cells = (line.role, line.name, line.library, *(line.figures[number] for number in shown))
        table.add_row(*map(Text, cells), style="bold" if line.bold else None)
    return table


def _narrow(heads: Sequence[str], shown: Sequence[int], lines: Sequence[Line]) -> Table:
    table = _empty(padding=(0, 1, 0, 0))
    table.add_column(_HEAD, overflow="fold")
    _add_figures(table, [heads[number] for number in shown])
    for role, members in groupby(lines, key=lambda line: line.role):
        alone = [line for line in members if any(line.figures[number] for number in shown)]
        if alone:
            table.add_row(Text(role, style="dim"))
        for line in alone:
            cells = (_named(line), *(line.figures[number] for number in shown))
            table.add_row(*map(Text, cells), style="bold" if line.bold else None)
    return table


def _empty(padding: tuple[int, ...]) -> Table:
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=padding, show_edge=False)  # type: ignore[arg-type]


def _add_figures(table: Table, heads: Sequence[str]) -> None:
    for name in heads:
        table.add_column(name, justify="right", no_wrap=True)
