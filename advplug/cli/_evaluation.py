"""What ``break`` and ``evaluate`` share: options, a run with progress, the table."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from advplug.cli import _console
from advplug.errors import InvalidInput
from advplug.plugins.manager import Manager, default_manager

if TYPE_CHECKING:
    from advplug.evaluation import Evaluation, Job
    from advplug.evaluation.runner import Watch
    from advplug.threat import ThreatModel

RUNS = Path("advplug-runs")

_OPTIONS = (
    _console.json_option,
    click.option("--limit", type=click.IntRange(min=0), default=100, show_default=True, help="Samples; 0 for all."),
    click.option("--seed", type=int, default=0, show_default=True, help="Of random starts and the model's draws."),
    click.option("--device", default="cpu", show_default=True, help="Torch device."),
    click.option("--batch-size", type=click.IntRange(min=1), help="Samples attacked at once; else as many as fit."),
    click.option("--epsilons", help="Smaller budgets to judge every attack at as well: 0.1,0.2 or 2/255,4/255."),
    click.option("--sweep", type=click.IntRange(min=2), help="The same at N even steps up to the full budget."),
    click.option("--out", type=click.Path(path_type=Path), help=f"Run directory; otherwise one in {RUNS}."),
    click.option("--fresh", is_flag=True, help="Forget what the run directory holds instead of resuming."),
    click.option("--report/--no-report", "report", default=True, help="Whether to write report.html."),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Options:
    """What ``_OPTIONS`` say."""

    limit: int
    seed: int
    device: str
    batch_size: int | None
    epsilons: str | None
    sweep: int | None
    out: Path | None
    fresh: bool
    report: bool
    as_json: bool


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that both commands take; ``command`` gets them as one parameter, ``options``."""

    @wraps(command)
    def gathered(*arguments: Any, **values: Any) -> Any:
        common = Options(**{field.name: values.pop(field.name) for field in fields(Options)})
        return command(*arguments, options=common, **values)

    for option in reversed(_OPTIONS):
        gathered = option(gathered)
    return gathered


def _smaller_budgets(threat: ThreatModel, epsilons: str | None, sweep: int | None) -> tuple[float, ...]:
    """The budgets below that of ``threat``, ascending; a minimum-norm run answers for any."""
    if epsilons is None and sweep is None:
        return ()
    if epsilons is not None and sweep is not None:
        raise InvalidInput("--epsilons and --sweep say the same thing: give one of them")
    if sweep is not None:
        if threat.epsilon is None:
            raise InvalidInput(f"--sweep needs a budget, the threat model is {threat}: name them with --epsilons")
        return tuple(threat.epsilon * share / sweep for share in range(1, sweep))
    try:
        budgets = sorted({float(Fraction(text.strip())) for text in str(epsilons).split(",")})
    except (ValueError, ZeroDivisionError):
        raise InvalidInput(f"--epsilons {epsilons}: write numbers or fractions, such as 2/255,4/255") from None
    highest = math.inf if threat.epsilon is None else threat.epsilon
    if budgets[0] <= 0 or budgets[-1] > highest:
        raise InvalidInput(f"--epsilons {epsilons}: give budgets above 0 and at most {highest:.6g}")
    return tuple(budget for budget in budgets if budget < highest)


def _run_directory(job: Job, out: Path | None) -> Path:
    """``out``, or a name that the same command gives again, so that it resumes."""
    parts = (job.case, job.preset, str(job.threat).replace(":", "-"), f"n{len(job.images)}", f"seed{job.seed}")
    return out or RUNS / re.sub(r"[^A-Za-z0-9.]+", "-", "-".join(part for part in parts if part))


def carry_out(job: Job, options: Options, manager: Manager) -> Evaluation:
    """Run ``job``, in its directory and at its smaller budgets, with progress on stderr; print what came out."""
    from advplug.evaluation import evaluate

    budgets = _smaller_budgets(job.threat, options.epsilons, options.sweep)
    job = replace(job, sweep=budgets, run_dir=_run_directory(job, options.out))
    for recipe in job.recipes:  # before the first attack has cost an hour
        if job.threat.epsilon is None and not recipe.attack.minimum_norm:
            raise InvalidInput(f"{recipe.name} needs a budget: give one, such as --threat {job.threat.norm}:0.3")
        if job.threat.norm not in recipe.attack.norms:
            norms = ", ".join(recipe.attack.norms)
            raise InvalidInput(f"{recipe.name} does not work under {job.threat.norm}: choose one of {norms}")
    if options.fresh and job.run_dir is not None:
        _forget(job.run_dir)
    with _watching(len(job.recipes)) as watch:
        evaluation = evaluate(job, manager=manager, watch=watch)
    _present(evaluation, as_json=options.as_json, report=options.report)
    return evaluation


def _present(evaluation: Evaluation, *, as_json: bool, report: bool) -> None:
    """Print the table or the JSON document, write the page, and name plugins whose findings or sections failed."""
    if as_json:
        _console.print_json(evaluation.to_json())
    else:
        from advplug.cli import _table

        _table.print_table(evaluation)
    if report:
        from advplug.report import write_report

        click.echo(f"report: {write_report(evaluation)}", err=as_json)
    _console.warn_of_hooks(default_manager().failures)


@contextmanager
def _watching(attacks: int) -> Iterator[Watch]:
    """Progress on stderr: bars on a terminal, elsewhere one line for each attack."""
    console = _console.err()
    if console.is_terminal:
        with _bars() as show:
            yield show
        return
    started: list[float] = []

    def end(word: str) -> None:
        if started:
            click.echo(f" {word}, {time.perf_counter() - started[-1]:.1f} s", err=True)

    def watch(name: str, done: int, total: int, alive: int) -> None:
        if total == 0:
            end("done")
            started.append(time.perf_counter())
            click.echo(f"{name}: {alive} samples ...", err=True, nl=False)

    try:
        yield watch
    except BaseException:
        end("stopped")
        raise
    end("done")
    if len(started) < attacks:
        click.echo(f"{attacks - len(started)} of {attacks} attacks read from the run directory", err=True)


@contextmanager
def _bars() -> Iterator[Watch]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

    state = TextColumn("{task.fields[state]}")
    bars = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), state, TimeElapsedColumn(),
        console=_console.err(),
    )  # fmt: skip
    jobs: list[TaskID] = []

    def end() -> None:
        if jobs:
            total = bars.tasks[-1].total or 1
            bars.update(
                jobs[-1], completed=total, total=total, state="done"
            )  # most attacks stop before their last step
            bars.stop_task(jobs[-1])

    def watch(name: str, done: int, total: int, alive: int) -> None:
        if total == 0:
            end()
            jobs.append(bars.add_task(name, total=None, state=f"{alive} standing"))
        else:
            bars.update(jobs[-1], completed=done, total=total, state=f"{alive} standing")

    with bars:
        yield watch
        end()


def with_plugins(job: Job, *keys: str) -> Job:
    """``job`` with more plugins whose provenance goes on record."""
    return replace(job, plugins=tuple(dict.fromkeys((*job.plugins, *keys))))


def _forget(path: Path) -> None:
    """Delete what advplug wrote into a run directory, and nothing else that may lie there."""
    for pattern in ("evaluation.json", "inputs.npz", "report.html", "rows/*.json", "rows/*.npz", "behaviours/*.npz"):
        for file in path.glob(pattern):
            file.unlink()
