"""What ``break`` and ``evaluate`` share: options, a run with progress, the table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from advplug.cli import _console, _verdict
from advplug.cli._counts import BUDGETS, SEEDS, check_counts, check_seed
from advplug.cli._paths import UserPath, refuse_empty, refuse_overwriting
from advplug.cli._progress import watching
from advplug.cli._workers import SHARD, read_executor, read_share
from advplug.errors import InvalidInput
from advplug.plugins.manager import Manager, default_manager

if TYPE_CHECKING:
    from advplug.cli._order import Order
    from advplug.evaluation import Evaluation, Job
    from advplug.evaluation.executors import Executor

RUNS = Path("advplug-runs")

_OPTIONS = (
    _console.json_option,
    click.option("--limit", type=click.IntRange(min=0), default=100, show_default=True, help="Samples; 0 for all."),
    click.option("--seed", type=int, default=0, show_default=True, help="Of random starts and the model's draws."),
    click.option("--device", default="cpu", show_default=True, help="Torch device."),
    click.option("--batch-size", type=click.IntRange(min=1), help="Samples attacked at once; else as many as fit."),
    click.option("--executor", help="Where the attacks run: inline, processes, ray, ray:HOST:PORT or ray://HOST:PORT."),
    click.option("--workers", help="Processes that share the work, or auto: one for each GPU, or else for each core."),
    click.option("--threads", type=click.IntRange(1, 4096), help="Threads of each; the same number, the same bits."),
    click.option("--shard", help="i/n: work on share i of n only; advplug merge puts the shares together."),
    click.option("--epsilons", help="Smaller budgets to judge every attack at as well: 0.1,0.2 or 2/255,4/255."),
    click.option("--sweep", type=click.IntRange(2, BUDGETS), help="The same at N even steps up to the full budget."),
    click.option("--out", type=UserPath(), help=f"Run directory; otherwise one in {RUNS}."),
    click.option("--fresh", is_flag=True, help="Forget what the run directory holds instead of resuming."),
    click.option("--report/--no-report", "report", default=True, help="Whether to write report.html."),
    *_verdict.OPTIONS,
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
    executor: str | None
    workers: str | None
    threads: int | None
    shard: str | None
    epsilons: str | None
    sweep: int | None
    out: Path | None
    fresh: bool
    report: bool
    as_json: bool
    diagnose: Literal["quick", "full"]
    draws: int
    fail_on: str
    sarif: Path | None
    junit: Path | None

    def read_executor(self) -> Executor:
        """Where the attacks run."""
        return read_executor(self.executor, self.workers, self.threads)


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
    read_share(options.shard)
    options.read_executor()
    if options.limit >= SEEDS or (options.batch_size or 0) >= SEEDS:
        raise InvalidInput("--limit and --batch-size: give numbers of at most 63 bits, or 0 and nothing for all")
    refuse_empty(**files)
    directory = RunDirectory(options.out or RUNS)
    refuse_overwriting(directory, **files)
    if options.out is not None:
        directory.refuse_foreign()
    directory.try_place()


def _run_directory(job: Job, out: Path | None) -> Path:
    """``out``, or a name that the same command gives again, so that it resumes."""
    parts = (job.case, job.preset, str(job.threat).replace(":", "-"), f"n{len(job.images)}", f"seed{job.seed}")
    return out or RUNS / re.sub(r"[^A-Za-z0-9.]+", "-", "-".join(part for part in parts if part))


def carry_out(order: Order, options: Options, manager: Manager) -> Evaluation | None:
    """Do what was ordered, in its run directory and with progress on stderr; print what came out.

    Returns None where only a share of it was to be done.
    """
    from advplug.evaluation import evaluate, work_on_share

    executor, share = options.read_executor(), read_share(options.shard)
    job = order()
    run_dir = _run_directory(job, options.out)
    if share is not None:
        run_dir = run_dir / SHARD.format(*share)
    job = replace(job, run_dir=run_dir)
    _check_recipes(job)
    with _resumable(run_dir, fresh=options.fresh):
        if options.fresh:
            _forget(run_dir)
        with watching(len(job.recipes)) as watch:
            common: dict[str, Any] = {"manager": manager, "watch": watch, "executor": executor, "build": order}
            if share is not None:
                _present_share(job, share, work_on_share(job, *share, tell=_console.warn, **common), options)
                return None
            evaluation = evaluate(job, tell=_console.warn, **common)
        finish(evaluation, as_json=options.as_json, report=options.report)
    _verdict.conclude(evaluation, options)
    return evaluation


def _forget(run_dir: Path) -> None:
    from advplug.evaluation.store import claimed

    with claimed(run_dir, _console.warn) as directory:
        directory.forget()


def _check_recipes(job: Job) -> None:
    """Refuse recipes that cannot run, before the first attack has cost an hour."""
    for recipe in job.recipes:
        if job.threat.epsilon is None and not recipe.attack.minimum_norm:
            raise InvalidInput(f"{recipe.name} needs a budget: give one, such as --threat {job.threat.norm}:0.3")
        if job.threat.norm not in recipe.attack.norms:
            norms = ", ".join(recipe.attack.norms)
            raise InvalidInput(f"{recipe.name} does not work under {job.threat.norm}: choose one of {norms}")
    check_counts(job)


def _present_share(job: Job, share: tuple[int, int], slices: int, options: Options) -> None:
    number, count = share
    whole = job.run_dir.parent if job.run_dir is not None else None
    if options.as_json:
        _console.print_json({"shard": f"{number}/{count}", "slices": slices, "run_dir": str(job.run_dir)})
    else:
        click.echo(f"shard {number} of {count} is done ({slices} slices): when all are, advplug merge {whole}")


def finish(evaluation: Evaluation, *, as_json: bool, report: bool) -> None:
    """Write the page and print; leave with exit code 1 if something could not be written."""
    unsaved = _present(evaluation, as_json=as_json, report=report)
    if unsaved:
        _console.warn(unsaved)
        click.get_current_context().exit(1)


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
