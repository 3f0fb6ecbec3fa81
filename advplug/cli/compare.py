"""``advplug compare RUN RUN``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from advplug.cli import _console
from advplug.cli._paths import UserPath
from advplug.errors import InvalidInput

if TYPE_CHECKING:
    from advplug.report.comparison import Comparison


_COLUMN = 20
"""Least columns for a run, and for the names of the attacks beside."""


@click.command("compare")
@click.argument("directories", metavar="RUN RUN [RUN ...]", type=UserPath(), nargs=-1)
@click.option("--html", type=UserPath(), help="Write a page to this file as well.")
@_console.json_option
def command(directories: tuple[Path, ...], html: Path | None, as_json: bool) -> None:
    """Compare finished runs with the first: accuracies, the samples that fell in one alone, and what else differs."""
    from advplug.evaluation.storage.run_directory import RunDirectory
    from advplug.report.comparison import compare

    if len(directories) < 2:
        raise InvalidInput(f"{len(directories)} run to compare: name at least two run directories")
    paths = dict(zip(_names(directories), directories, strict=True))
    comparison = compare({name: RunDirectory(path).load() for name, path in paths.items()})
    if as_json:
        _console.print_json(comparison.to_json())
    else:
        _print(comparison)
    if html is not None:
        from advplug.report.comparison_page import write_comparison

        try:
            click.echo(f"page: {write_comparison(comparison, html)}", err=as_json)
        except OSError as error:
            raise InvalidInput(f"{html} cannot be written: {error.strerror or error}: name another file") from error


def _names(directories: tuple[Path, ...]) -> list[str]:
    """The last parts of the paths, as many as it takes to tell them apart."""
    resolved = [path.resolve() for path in directories]
    for depth in range(1, max(len(path.parts) for path in resolved) + 1):
        names = ["/".join(path.parts[-depth:]) for path in resolved]
        if len(set(names)) == len(names):
            return names
    raise InvalidInput("the same run directory is named twice: name different ones")


def _print(comparison: Comparison) -> None:
    """Tables of accuracies and of what differs, and the verdict, on stdout."""
    from rich.text import Text

    from advplug.cli._figures import broken, table_of
    from advplug.cli._table import WIDTH
    from advplug.report.comparison_page import accuracies, pairs, verdict

    console = _console.out()
    width = None if console.is_terminal else WIDTH
    attacks = []
    for line in comparison.lines:
        cells = zip(accuracies(line), pairs(line), strict=True)
        attacks.append((line.name, *(f"{accuracy or 'not run'}\n{pair}".rstrip() for accuracy, pair in cells)))
    tables = [("attack", attacks)]
    for title, found in (("diagnostic", comparison.findings), ("what differs", comparison.differences)):
        tables += [(title, [(one.name, *one.values) for one in found])] if found else []
    for title, rows in tables:
        for part in _parts(len(comparison.names), width or console.width):
            room = (width or console.width) // (len(part) + 1) - 3
            head = (title, *(broken(comparison.names[run], room) for run in part))
            body = [(row[0], *(broken(row[1 + run], room) for run in part)) for row in rows]
            console.print(table_of(head, body), width=width)
            console.print()
    console.print(Text(verdict(comparison), style="bold"), width=width, soft_wrap=False)


def _parts(runs: int, width: int) -> list[range]:
    """The numbers of the runs, as many in each part as stand side by side with room for their words."""
    count = max(1, width // _COLUMN - 1)
    return [range(start, min(start + count, runs)) for start in range(0, runs, count)]
