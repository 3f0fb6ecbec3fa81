"""``advplug doctor``."""

from __future__ import annotations

from dataclasses import asdict

import click

from advplug.cli import _console
from advplug.plugins.manager import default_manager


@click.command("doctor")
@_console.json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Import every plugin and show each that fails, with its traceback; exit 1 if any does.

    A warning names a plugin that works, and that changed a setting of the whole process on import.
    """
    manager = default_manager()
    manager.check()
    if ctx.parent is not None and isinstance(ctx.parent.command, click.Group):
        ctx.parent.command.list_commands(ctx.parent)  # asks the plugins that extend the command line, too
    if as_json:
        blocked = [{**asdict(candidate.source), "blocked_by": candidate.blocked_by} for candidate in manager.blocked]
        _console.print_json({"problems": [asdict(problem) for problem in manager.failures], "blocked": blocked})
    else:
        for problem in manager.failures:
            version = f" {problem.version}" if problem.version else ""
            stage = f"{problem.stage} (warning)" if problem.severity == "warning" else problem.stage
            click.secho(f"{problem.distribution}{version} [{problem.entry_point}] {stage}", bold=True)
            click.echo(problem.error)
            click.echo(problem.traceback)
        for candidate in manager.blocked:
            click.echo(f"{candidate.source.label} is switched off by {candidate.blocked_by}")
        count, warnings = len(manager.errors), len(manager.failures) - len(manager.errors)
        counts = f"{count} problem{'s' * (count != 1)}"
        if warnings:
            counts += f", {warnings} warning{'s' * (warnings != 1)}"
        click.echo(f"{counts}, {len(manager.specs())} plugins ready")
    ctx.exit(1 if manager.errors else 0)
