"""``advplug list``: must stay fast and import neither torch nor numpy."""

from __future__ import annotations

import click

from advplug.cli import _console
from advplug.manager import KINDS, default_manager


@click.command("list")
@click.option("--kind", type=click.Choice(KINDS), help="Only plugins of this kind.")
@_console.json_option
def command(kind: str | None, as_json: bool) -> None:
    """List the installed plugins."""
    manager = default_manager()
    rows = [(spec, manager.provenance(spec.key)) for spec in manager.specs(kind)]
    if as_json:
        plugins = [
            {
                "key": spec.key,
                "kind": spec.kind,
                "name": spec.name,
                "summary": spec.summary,
                "tags": sorted(spec.tags),
                "distribution": source.distribution,
                "version": source.version,
            }
            for spec, source in rows
        ]
        _console.print_json({"plugins": plugins})
    else:
        # Plain columns: rich would cost half of the time that this command may take.
        cells = [(spec.key, spec.summary, f"{source.distribution} {source.version}".strip()) for spec, source in rows]
        widths = [max((len(row[column]) for row in cells), default=0) for column in range(2)]
        for key, summary, origin in cells:
            click.echo(f"{key:<{widths[0]}}  {summary:<{widths[1]}}  {origin}")
        if not rows:
            what = f"{kind} plugin" if kind else "plugin"
            click.echo(f"no {what} is installed: try pip install advplug-attack-pgd", err=True)
    _console.warn_of(manager.problems)
