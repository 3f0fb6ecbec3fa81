"""``advplug merge RUN``: shares of a run become one evaluation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from advplug.cli import _console, _evaluation
from advplug.cli._order import Order
from advplug.cli._paths import UserPath
from advplug.errors import InvalidInput
from advplug.plugins.manager import default_manager


@click.command("merge")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=UserPath())
@click.option("--out", type=UserPath(), help="Run directory of the whole; RUN itself where it holds the shares.")
@click.option("--report/--no-report", "report", default=True, help="Whether to write report.html.")
@_console.json_option
@click.pass_context
def command(ctx: click.Context, *, runs: tuple[Path, ...], out: Path | None, report: bool, as_json: bool) -> None:
    """Put the shares of a run together, and report on the whole.

    RUN is the run directory of a command with --shard, or the directories of the shares. The model and the data must be
    here: what the shares found is judged again.
    """
    from advplug.evaluation import conclude
    from advplug.evaluation.storage.gather import gather, shares_in

    shares = list(runs)
    if len(runs) == 1 and (found := shares_in(runs[0])):
        shares, out = found, out or runs[0]
    if out is None:
        raise InvalidInput("--out is missing: name the run directory of the whole")
    named, count = gather(shares, out, _console.warn)
    job = replace(Order.from_json(named)(), run_dir=out)
    evaluation = conclude(job, count, manager=default_manager(), tell=_console.warn)
    _evaluation.finish(evaluation, as_json=as_json, report=report)
    if job.claim is not None:
        ctx.exit(0 if evaluation.broken else 1)
