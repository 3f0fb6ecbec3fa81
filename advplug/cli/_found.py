"""What a search found, on the terminal."""

from __future__ import annotations

from pathlib import Path

import click
from rich import box
from rich.table import Table
from rich.text import Text

from advplug.cli import _console
from advplug.composition.handover import command_of, python_of
from advplug.evaluation.diagnostics.signs import percent
from advplug.records.composition import Composition

WIDTH = 108  # away from a terminal


def print_found(found: Composition, folder: Path) -> None:
    """The trace, the sentences with their command and Python lines, what is left of which half, and the cost."""
    console = _console.out()
    width = None if console.is_terminal else WIDTH
    console.print(Text(f"{found.model} under {found.threat}\n", style="bold"))
    for place in found.places:
        console.print(Text(f"{place.kind}: {place.module or 'the model'} ({place.type}) {place.note}".rstrip()))
    if found.places:
        console.print()
    for number, sentence in enumerate(found.sentences, 1):
        console.print(Text(f"{number}. {sentence}", style="bold"), soft_wrap=True)
        click.echo(f"\n{command_of(sentence, found)}\n\n{python_of(sentence, found)}\n")
    console.print(_table(found), width=width)
    console.print()
    console.print(Text(_cost(found)), width=width)
    if found.remark:
        console.print(Text(found.remark, style="bold"), width=width)
    click.echo(f"run: {folder}")


def _table(found: Composition) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    table.add_column("samples")
    for name in ("number", "clean", "standard", "search"):
        table.add_column(name, justify="right")
    groups = (("chosen on", found.chosen_on), ("held out", found.held_out), ("all", found.together))
    for name, left in groups:
        figures = (percent(share) if left.samples else "-" for share in (left.clean, left.standard, left.search))
        table.add_row(name, str(left.samples), *figures)
    return table


def _cost(found: Composition) -> str:
    passes = found.queries / max(found.standard_queries, 1e-9)
    clock = found.seconds / max(found.standard_seconds, 1e-9)
    count = len(found.trials)
    return (
        f"{count} trial{'s' * (count != 1)}; {found.queries:.0f} passes for each sample in all, {passes:.1f} times "
        f"those of standard; {clock:.1f} times its time."
    )
