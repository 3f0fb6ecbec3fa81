"""What ``break`` and ``evaluate`` share: options, a run with progress, the table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from advplug.cli import _console
from advplug.cli._counts import BUDGETS, LARGEST, SEEDS, check_counts, check_seed
from advplug.cli._paths import UserPath, refuse_empty, refuse_overwriting
from advplug.cli._progress import watching
from advplug.errors import InvalidInput
from advplug.plugins.manager import Manager, default_manager

if TYPE_CHECKING:
    from advplug.evaluation import Evaluation, Job
    from advplug.threat import ThreatModel

RUNS = Path("advplug-runs")

_OPTIONS = (
    _console.json_option,
    click.option("--limit", type=click.IntRange(min=0), default=100, show_default=True, help="Samples; 0 for all."),
    click.option("--seed", type=int, default=0, show_default=True, help="Of random starts and the model's draws."),
    click.option("--device", default="cpu", show_default=True, help="Torch device."),
    click.option("--batch-size", type=click.IntRange(min=1), help="Samples attacked at once; else as many as fit."),
    click.option("--epsilons", help="Smaller budgets to judge every attack at as well: 0.1,0.2 or 2/255,4/255."),
    click.option("--sweep", type=click.IntRange(2, BUDGETS), help="The same at N even steps up to the full budget."),
    click.option("--out", type=UserPath(), help=f"Run directory; otherwise one in {RUNS}."),
    click.option("--fresh", is_flag=True, help="Forget what the run directory holds instead of resuming."),
    click.option("--report/--no-report", "report", default=True, help="Whether to write report.html."),
)  # fmt: skip

_FILES = ("data", "auxiliary", "bounds", "mask", "threat", "weights")
"""Options of either command that may name a file of the user's."""


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
        _check(common, {name: values.get(name) for name in _FILES})
        return command(*arguments, options=common, **values)

    for option in reversed(_OPTIONS):
        gathered = option(gathered)
    return gathered


def _check(options: Options, files: Mapping[str, Any]) -> None:
    """Refuse what can be refused before a model is loaded: a seed that torch has not, a directory of no use, ""."""
    from advplug.evaluation.run_directory import RunDirectory

    check_seed(options.seed)
    if options.limit >= SEEDS or (options.batch_size or 0) >= SEEDS:
        raise InvalidInput("--limit and --batch-size: give numbers of at most 63 bits, or 0 and nothing for all")
    refuse_empty(**files)
    directory = RunDirectory(options.out or RUNS)
    refuse_overwriting(directory, **files)
    if options.out is not None:
        directory.refuse_foreign()
    directory.try_place()


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
    texts = str(epsilons).split(",")
    if len(texts) > BUDGETS:
        raise InvalidInput(f"--epsilons names {len(texts)} budgets: give at most {BUDGETS}")
    from advplug.numerics.written_numbers import number_in

    try:
        budgets = sorted({number_in(text) for text in texts})
    except (ValueError, ZeroDivisionError, OverflowError):
        raise InvalidInput(f"--epsilons {epsilons}: write numbers or fractions, such as 2/255,4/255") from None
    highest = LARGEST if threat.epsilon is None else threat.epsilon
    if not all(0 < budget <= highest for budget in budgets):
        raise InvalidInput(f"--epsilons {epsilons}: give budgets above 0 and at most {highest:.6g}")
    return tuple(budget for budget in budgets if budget < highest)


def _run_directory(job: Job, out: Path | None) -> Path:
    """``out``, or a name that the same command gives again, so that it resumes."""
    parts = (job.case, job.preset, str(job.threat).replace(":", "-"), f"n{len(job.images)}", f"seed{job.seed}")
    return out or RUNS / re.sub(r"[^A-Za-z0-9.]+", "-", "-".join(part for part in parts if part))


def carry_out(job: Job, options: Options, manager: Manager) -> Evaluation:
    """Run ``job``, in its directory and at its smaller budgets, with progress on stderr; print what came out."""
    from advplug.evaluation import evaluate
    from advplug.evaluation.store import claimed

    budgets = _smaller_budgets(job.threat, options.epsilons, options.sweep)
    run_dir = _run_directory(job, options.out)
    job = replace(job, sweep=budgets, run_dir=run_dir)
    for recipe in job.recipes:  # before the first attack has cost an hour
        if job.threat.epsilon is None and not recipe.attack.minimum_norm:
            raise InvalidInput(f"{recipe.name} needs a budget: give one, such as --threat {job.threat.norm}:0.3")
        if job.threat.norm not in recipe.attack.norms:
            norms = ", ".join(recipe.attack.norms)
            raise InvalidInput(f"{recipe.name} does not work under {job.threat.norm}: choose one of {norms}")
    check_counts(job)
    with _resumable(run_dir, fresh=options.fresh):
        if options.fresh:
            with claimed(run_dir, _console.warn) as directory:
                directory.forget()
        with watching(len(job.recipes)) as watch:
            evaluation = evaluate(job, manager=manager, watch=watch, tell=_console.warn)
        unsaved = _present(evaluation, as_json=options.as_json, report=options.report)
    if unsaved:
        _console.warn(unsaved)
        click.get_current_context().exit(1)
    return evaluation


@contextmanager
def _resumable(directory: Path, *, fresh: bool) -> Iterator[None]:
    """Say to who interrupts a run how it goes on."""
    try:
        yield
    except KeyboardInterrupt as error:
        command = "the same command without --fresh" if fresh else "the same command"
        raise KeyboardInterrupt(f"interrupted: {command} goes on from here, with what {directory} holds") from error


def _present(evaluation: Evaluation, *, as_json: bool, report: bool) -> str:
    """Write the page, print the table or the JSON document, and name plugins whose findings or sections failed.

    The page comes first: what is printed may go to where nobody reads, or into a full disk. Returns one line on what
    could not be written, "" where all was.
    """
    page = None
    if report:
        from advplug.report import write_report

        try:
            page = write_report(evaluation)
        except OSError as error:
            reasons = {**evaluation.unsaved, "report.html": error.strerror or str(error)}
            evaluation = replace(evaluation, unsaved=reasons)
    if as_json:
        _console.print_json(evaluation.to_json())
    else:
        from advplug.cli import _table

        _table.print_table(evaluation)
    if page is not None:
        click.echo(f"report: {page}", err=as_json)
    _console.warn_of_hooks(default_manager().failures)
    return evaluation.not_saved


def with_plugins(job: Job, *keys: str) -> Job:
    """``job`` with more plugins whose provenance goes on record."""
    return replace(job, plugins=tuple(dict.fromkeys((*job.plugins, *keys))))
