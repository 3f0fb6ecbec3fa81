"""Where output goes: data on stdout, everything else on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

import click

if TYPE_CHECKING:
    from rich.console import Console

    from advplug.plugins.host import PluginFailure

SCHEMA_VERSION = 1
"""Version of the form of everything that ``--json`` prints."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")


def out() -> Console:
    """Console for data."""
    return _console(sys.stdout)


def err() -> Console:
    """Console for progress, warnings and errors."""
    return _console(sys.stderr)


def _console(stream: TextIO) -> Console:
    # rich is slow to import, so only commands that print with it pay. Away from a terminal it would cut tables at 80
    # columns, which loses data.
    from rich.console import Console

    width = None if stream.isatty() or "COLUMNS" in os.environ else 200
    # emoji: it would print a painter's palette for ":art:"
    return Console(file=stream, width=width, highlight=False, soft_wrap=width is not None, emoji=False)


def print_json(content: Mapping[str, Any]) -> None:
    """Print ``content`` on stdout as one JSON object that starts with its ``schema_version``."""
    click.echo(json.dumps({"schema_version": SCHEMA_VERSION, **content}, indent=2, default=_plain))


def _plain(value: Any) -> Any:
    """JSON form of what plugin authors put into specs and signatures."""
    return sorted(value) if isinstance(value, set | frozenset) else str(value)


def warn_of(failures: list[PluginFailure]) -> None:
    """One line on stderr if some plugin failed."""
    if failures:
        names = ", ".join(sorted({failure.distribution for failure in failures}))
        click.secho(f"! problems with {names} (advplug doctor for the traceback)", fg="yellow", err=True)


Step = Callable[[int, int, Mapping[str, float]], None]
"""``step(done, total, {"loss": 0.1})``: shows how far a job is."""


def warn_of_hooks(failures: list[PluginFailure]) -> None:
    """One line on stderr for each plugin that failed during a job; a later ``advplug doctor`` cannot show those."""
    for failure in failures:
        if failure.stage in ("advplug_evaluate", "advplug_diagnose", "advplug_report_sections"):
            text = f"! {failure.distribution} {failure.version} failed in {failure.stage} ({failure.error})"
            click.secho(f"{text}; ADVPLUG_STRICT=1 stops there with the traceback", fg="yellow", err=True)


@contextmanager
def progress(title: str, *, short: bool = False) -> Iterator[Step]:
    """A progress bar on stderr; away from a terminal one line per step, or none for a job that is ``short``."""
    console = err()
    if not console.is_terminal:
        yield (lambda *_: None) if short else _line_of(title)
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),  # else emoji, as above
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[values]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        job = bar.add_task(title, total=None, values="")
        yield lambda done, total, values: bar.update(job, completed=done, total=total, values=_values(values))


def _line_of(title: str) -> Step:
    return lambda done, total, values: click.echo(f"{title} {done}/{total} {_values(values)}".rstrip(), err=True)


def _values(values: Mapping[str, float]) -> str:
    return " ".join(f"{name} {value:.4g}" for name, value in values.items())
