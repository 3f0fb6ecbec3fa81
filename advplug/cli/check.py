"""``advplug check NAME``: the conformance checks of plugins, without pytest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from advplug.cli import _console
from advplug.cli._lines import folded
from advplug.cli._progress import progress
from advplug.errors import BrokenPlugin, UnknownPlugin
from advplug.plugins.manager import Manager, default_manager

if TYPE_CHECKING:
    from rich.table import Table

    from advplug.testing import Outcome

_WIDE = 100
"""Columns that the table needs to be easy to read."""

STYLES = {"passed": "green", "failed": "bold red", "skipped": "dim"}


@click.command("check")
@click.argument("names", metavar="NAME...", nargs=-1)
@click.option(
    "--all", "everything", is_flag=True, help="Check every installed plugin but the attacks of other libraries."
)
@click.option("--quick", is_flag=True, help="Leave out what takes more than a few seconds.")
@_console.json_option
@click.pass_context
def command(ctx: click.Context, *, names: Sequence[str], everything: bool, quick: bool, as_json: bool) -> None:
    """Check that plugins keep the contract of their kind; exit 1 if one does not.

    NAME is ead (of any kind), attack:ead, distribution:attack:ead, or foolbox:LinfPGD. Other libraries' attacks do not
    keep all of the contract: most draw random numbers for whole batches.
    """
    if everything == bool(names):
        raise click.UsageError("name the plugins to check, or give --all")
    manager = default_manager()
    keys = [spec.key for spec in manager.specs() if not spec.bridged] if everything else _keys(manager, names)
    broken: list[str] = []
    pages: list[dict[str, Any]] = []
    for key in keys:
        if _loads(manager, key, broken):
            outcomes = _run(manager, key, quick)
            pages.append({"key": key, "checks": [_row(outcome) for outcome in outcomes]})
            if not as_json:
                _print(key, outcomes)
    if everything:
        broken += [f"{problem.distribution}: {problem.error}" for problem in manager.errors]
    failed = sum(row["status"] == "failed" for page in pages for row in page["checks"])
    if as_json:
        _console.print_json({"plugins": pages, "failed": failed, "broken": broken})
    for line in broken:
        click.secho(f"Error: {line}", fg="red", err=True)
    ctx.exit(4 if broken else 1 if failed else 0)


def _keys(manager: Manager, names: Sequence[str]) -> list[str]:
    """The plugins that ``names`` mean, each once."""
    keys: dict[str, None] = {}
    for name in names:
        found = [spec.key for spec in manager.specs() if spec.name == name] or [name]
        keys |= dict.fromkeys(found)
    return list(keys)


def _loads(manager: Manager, key: str, broken: list[str]) -> bool:
    """Whether there is anything to check; if not, ``broken`` gets the reason."""
    try:
        manager.load(key)
    except (UnknownPlugin, BrokenPlugin) as error:
        broken.append(str(error))
        return False
    return True


def _run(manager: Manager, key: str, quick: bool) -> list[Outcome]:
    from advplug.testing import Subject, checks_for, run_check

    subject = Subject(key, manager, quick=quick)
    checks = [check for check in checks_for(key) if not (quick and check.slow)]
    outcomes = []
    with progress(f"checking {key}", short=True) as step:
        for number, check in enumerate(checks, 1):
            outcomes.append(run_check(check, subject))
            step(number, len(checks), {})
    return outcomes


def _row(outcome: Outcome) -> dict[str, Any]:
    return {
        "name": outcome.check.name,
        "kind": outcome.check.kind,
        "description": outcome.check.description,
        "status": outcome.status,
        "message": outcome.message,
        "seconds": round(outcome.seconds, 3),
        "traceback": outcome.traceback,
    }


def _print(key: str, outcomes: Sequence[Outcome]) -> None:
    """The checks: what each demands, or what is wrong; beside its name, or below it in a narrow terminal."""
    from rich.text import Text

    counts = {status: sum(outcome.status == status for outcome in outcomes) for status in STYLES}
    console = _console.out()
    console.print(Text(key, style="bold"))
    if console.width >= _WIDE:
        console.print(_table(outcomes))
    else:
        for outcome in outcomes:
            start = f"{outcome.status:<8}{outcome.check.name}, {outcome.seconds:.2f} s"
            told = folded(" " * 8, outcome.message or outcome.check.description, indent=8)
            console.print(Text(f"{start}\n{told}", style=STYLES[outcome.status]))
    console.print(Text(", ".join(f"{count} {status}" for status, count in counts.items()) + "\n"))


def _table(outcomes: Sequence[Outcome]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    table.add_column("check", no_wrap=True)
    table.add_column("result", no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    for outcome in outcomes:
        style = STYLES[outcome.status]
        cells = (outcome.check.name, outcome.status, f"{outcome.seconds:.2f}")
        table.add_row(*cells, Text(outcome.message or outcome.check.description), style=style)
    return table
