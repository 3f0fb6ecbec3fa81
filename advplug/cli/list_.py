"""``advplug list``: must stay fast and import neither torch nor numpy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import metadata

import click

from advplug.cli import _console
from advplug.cli._lines import columns, folded
from advplug.errors import InvalidInput
from advplug.plugins.discovery import Provenance
from advplug.plugins.manager import KINDS, default_manager
from advplug.specs import PluginSpec

Row = tuple[PluginSpec, Provenance]

_INDENT = 32  # columns of the keys in a narrow terminal, where a longer one has a line of its own


@click.command("list")
@click.argument("named", metavar="[KIND]", type=click.Choice(KINDS), required=False)
@click.option("--kind", type=click.Choice(KINDS), help="Only plugins of this kind; the same as KIND.")
@click.option("--library", metavar="NAME", help="Only the attacks of another library, such as foolbox.")
@click.option("--all", "everything", is_flag=True, help="Each attack of other libraries on a line of its own.")
@_console.json_option
def command(named: str | None, kind: str | None, library: str | None, everything: bool, as_json: bool) -> None:
    """List the installed plugins, or those of one KIND, such as attack.

    The attacks that bridges bring from other libraries take one line for each library, unless --library or --all asks
    for them; --json has them all.
    """
    if named and kind and named != kind:
        raise InvalidInput(f"list takes one kind: {named} or {kind}")
    kind = named or kind
    manager = default_manager()
    rows = [(spec, manager.provenance(spec.key)) for spec in manager.specs(kind)]
    if library is not None:
        rows = _of_library(library, rows)
    if as_json:
        plugins = [
            {
                "key": spec.key,
                "kind": spec.kind,
                "name": spec.name,
                "summary": spec.summary,
                "tags": sorted(spec.tags),
                "library": getattr(spec, "library", "") or None,
                "distribution": source.distribution,
                "version": source.version,
            }
            for spec, source in rows
        ]
        _console.print_json({"plugins": plugins})
    else:
        _print(_lines(rows) if everything or library is not None else _folded(rows))
        if not rows:
            what = f"{kind} plugin" if kind else "plugin"
            click.echo(f"no {what} is installed: try pip install advplug-attack-pgd", err=True)
    _console.warn_of(manager.errors)


def _print(lines: Iterable[tuple[str, str, str]]) -> None:
    """Plain columns: rich would cost half of the time that this command may take.

    In a terminal that is too narrow for three, the origin stands behind the summary, and both are broken between words.
    """
    cells = list(lines)
    widths = [max((len(row[column]) for row in cells), default=0) for column in range(2)]
    room, whole = columns(), sum(widths) + 4 + max((len(row[2]) for row in cells), default=0)
    if room is not None and room < whole:
        indent = min(widths[0] + 2, _INDENT)
        for key, summary, origin in cells:
            start = f"{key:<{indent}}"
            if len(key) > indent - 2:
                click.echo(key)
                start = " " * indent
            click.echo(folded(start, f"{summary} ({origin})", indent))
        return
    for key, summary, origin in cells:
        click.echo(f"{key:<{widths[0]}}  {summary:<{widths[1]}}  {origin}")


def _lines(rows: Iterable[Row]) -> Iterator[tuple[str, str, str]]:
    """Key, summary and origin of each plugin."""
    for spec, source in rows:
        yield spec.key, spec.summary, f"{source.distribution} {source.version}".strip()


def _folded(rows: Iterable[Row]) -> Iterator[tuple[str, str, str]]:
    """The same with one line for all attacks of a library, where the first of them would stand."""
    libraries: dict[str, list[Row]] = {}
    for spec, source in rows:
        if spec.bridged:
            libraries.setdefault(_library(spec), []).append((spec, source))
    for spec, source in rows:
        if not spec.bridged:
            yield from _lines([(spec, source)])
        elif members := libraries.pop(_library(spec), None):
            origin = f"{source.distribution} {source.version}".strip()
            count = f"{len(members)} attack{'s' * (len(members) != 1)} of {_version(spec)}"
            summary = f"{count}: advplug list --library {_library(spec)}"
            yield f"{spec.kind}:{_library(spec)}:*", summary, origin


def _of_library(library: str, rows: list[Row]) -> list[Row]:
    """The rows of one library, by the short name in its keys or by its distribution."""
    bridged = [row for row in rows if row[0].bridged]
    found = [row for row in bridged if library in (_library(row[0]), getattr(row[0], "library", ""))]
    if not found:
        known = ", ".join(sorted({_library(spec) for spec, _ in bridged}))
        advice = f"choose one of {known}" if known else "pip install advplug-attack-foolbox or advplug-attack-art"
        raise InvalidInput(f"--library {library}: no plugin brings attacks of it, {advice}")
    return found


def _library(spec: PluginSpec) -> str:
    return spec.name.partition(":")[0]


def _version(spec: PluginSpec) -> str:
    """Name and version of the library's distribution."""
    name: str = getattr(spec, "library", "")
    try:
        return f"{name} {metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return name
