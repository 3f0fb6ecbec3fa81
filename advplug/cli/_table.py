"""The table of an evaluation on the terminal."""

from __future__ import annotations

from rich import box
from rich.table import Table
from rich.text import Text

from advplug.cli import _console
from advplug.records.evaluation import Evaluation
from advplug.report import summary

WIDTH = 108  # away from a terminal


def print_table(evaluation: Evaluation) -> None:
    """The table, its remarks and sources, and the verdict, on stdout."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    for name in ("role", "attack", "library"):
        table.add_column(name, overflow="fold", no_wrap=name == "role")
    lines = summary.lines(evaluation)
    columns = [_figures(line, summary.distance_columns(evaluation)) for line in lines]
    heads = [name for name in columns[0] if any(figures[name] for figures in columns)]  # no column of nothing
    for name in heads:
        table.add_column(name, justify="right", no_wrap=True)
    for line, figures in zip(lines, columns, strict=True):
        row = (line.role, line.name, line.library, *(figures[name] for name in heads))
        table.add_row(*map(Text, row), style="bold" if line.role == "adaptive" else None)
    console = _console.out()
    width = None if console.is_terminal else WIDTH
    console.print(Text(f"{summary.subject(evaluation)} under {evaluation.threat}\n"))
    console.print(table, width=width)
    below = [f"[{number}] {source}" for number, source in enumerate(summary.sources(evaluation), 1)]
    troubles = (finding for finding in evaluation.findings if finding.status in ("warn", "fail"))
    below += ["", *summary.remarks(evaluation)]
    below += [f"{finding.status}: {finding.message} {finding.advice}".rstrip() for finding in troubles]
    for text in below:
        console.print(Text(text, style="dim"), width=width, soft_wrap=False)
    console.print(Text(f"\n{summary.verdict(evaluation)}", style="bold"), width=width, soft_wrap=False)


def _figures(line: summary.Line, distances: tuple[str, ...]) -> dict[str, str]:
    """The texts of a line by the heads of their columns."""
    mark = f" [{line.note}]" if line.note else ""
    interval = {} if distances else {"95 %": line.interval}  # where there are distances they need the room
    return {
        "accuracy": line.accuracy,
        **interval,
        **dict(zip(distances, line.distances, strict=True)),
        "detected": line.detected,
        "queries": line.queries,
        "seconds": line.seconds,
        "published": line.published + mark,
    }
