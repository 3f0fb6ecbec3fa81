"""What ``break`` and ``evaluate`` share: a run with progress, the page, the table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from advplug.cli import _console, _verdict
from advplug.cli._counts import check_counts
from advplug.cli._interrupts import interruptible
from advplug.cli._options import RUNS, Options
from advplug.cli._progress import watching
from advplug.cli._workers import SHARD, read_share
from advplug.errors import InvalidInput
from advplug.plugins.manager import Manager, default_manager
from advplug.plugins.trackers import tracking

if TYPE_CHECKING:
    from advplug.cli._order import Order
    from advplug.evaluation import Evaluation, Job
    from advplug.evaluation.executors import Executor


def run_name(job: Job) -> str:
    """A name for the run directory that the same command gives again, so that it resumes."""
    parts = (job.case, job.preset, str(job.threat).replace(":", "-"), f"n{len(job.images)}", f"seed{job.seed}")
    return re.sub(r"[^A-Za-z0-9.]+", "-", "-".join(part for part in parts if part))


def carry_out(order: Order, options: Options, manager: Manager) -> Evaluation | None:
    """Do what was ordered, in its run directory and with progress on stderr; print what came out.

    Returns None where only a share of it was to be done.
    """

    def present(found: Evaluation) -> None:
        finish(found, as_json=options.as_json, report=options.report)

    evaluation = perform(order, options, manager, present)
    if evaluation is not None:
        _verdict.conclude(evaluation, options)
    return evaluation


def perform(
    order: Order, options: Options, manager: Manager, present: Callable[[Evaluation], None]
) -> Evaluation | None:
    """Do what was ordered, in its run directory and with progress on stderr, and ``present`` what came out.

    Returns None where only a share of it was to be done.
    """
    from advplug.evaluation import evaluate, work_on_share

    executor, share = options.read_executor(), read_share(options.shard)
    with interruptible(NOT_BEGUN):
        job = order()
    run_dir = options.out or RUNS / run_name(job)
    if share is not None:
        run_dir = run_dir / SHARD.format(*share)
    job = replace(job, run_dir=run_dir, command=_console.command_line())
    refuse_unfit(job)
    refuse_far_tracking(options.track, executor)
    with resumable(run_dir, fresh=options.fresh):
        if options.fresh:
            forget(run_dir)
        with tracking(options.track, manager) as tracker, watching(len(job.recipes)) as watch:
            job = replace(job, tracker=tracker)
            common: dict[str, Any] = {"manager": manager, "watch": watch, "executor": executor, "build": order}
            if share is not None:
                _present_share(job, share, work_on_share(job, *share, tell=_console.warn, **common), options)
                return None
            evaluation = evaluate(job, tell=_console.warn, **common)
            if tracker is not None:
                tracker.finish(evaluation)
        present(evaluation)
    return evaluation


def forget(run_dir: Path) -> None:
    """Delete what earlier runs wrote into the directory."""
    from advplug.evaluation.storage.store import claimed

    with claimed(run_dir, _console.warn) as directory:
        directory.forget()


def refuse_unfit(job: Job) -> None:
    """Refuse recipes that cannot run, before the first attack has cost an hour."""
    for recipe in job.recipes:
        if job.threat.epsilon is None and recipe.attack.needs_budget:
            example = "l0:20" if job.threat.norm == "l0" else f"{job.threat.norm}:0.3"
            raise InvalidInput(f"{recipe.name} needs a budget: give one, such as --threat {example}")
        if job.threat.norm not in recipe.attack.norms:
            norms = ", ".join(recipe.attack.norms)
            raise InvalidInput(f"{recipe.name} does not work under {job.threat.norm}: choose one of {norms}")
    check_counts(job)


def refuse_far_tracking(tracker: Any, executor: Executor) -> None:
    """Refuse a tracker that would hear of nothing: the steps of another process stay there."""
    from advplug.evaluation.executors import Inline

    if tracker is not None and not isinstance(executor, Inline):
        raise InvalidInput("--track hears of steps in this process alone: leave --workers and --executor out")


def _present_share(job: Job, share: tuple[int, int], slices: int, options: Options) -> None:
    number, count = share
    whole = job.run_dir.parent if job.run_dir is not None else None
    if options.as_json:
        _console.print_json({"shard": f"{number}/{count}", "slices": slices, "run_dir": str(job.run_dir)})
    else:
        click.echo(f"shard {number} of {count} is done ({slices} slices): when all are, advplug merge {whole}")


def finish(evaluation: Evaluation, *, as_json: bool, report: bool) -> None:
    """Write the page and print; leave with exit code 1 if something could not be written."""
    evaluation, page = with_page(evaluation, report=report)
    if as_json:
        _console.print_json(evaluation.to_json())
    else:
        print_table(evaluation)
    say_where(page, err=as_json)
    unsaved = evaluation.not_saved
    if unsaved:
        _console.warn(unsaved)
        click.get_current_context().exit(1)


NOT_BEGUN = "no attack had begun, and nothing was written: give the same command again"


@contextmanager
def resumable(directory: Path, *, fresh: bool) -> Iterator[None]:
    """Say to who interrupts a run what is kept, and how it goes on."""
    try:
        yield
    except KeyboardInterrupt as error:
        command = "the same command without --fresh" if fresh else "the same command"
        kept = _kept(directory)
        if kept:
            told = f"{directory} keeps {kept}: {command} goes on from there"
        else:
            told = f"no attack had finished, and {directory} keeps nothing: {command} begins again"
        with interruptible(told):
            raise KeyboardInterrupt from error


def _kept(directory: Path) -> str:
    """What of a run is finished, in words; "" if nothing is."""
    from advplug.evaluation.storage.run_directory import RunDirectory

    names = [path.parent.name for path in RunDirectory(directory).records() if path.suffix != ".npz"]
    attacks, parts, trials = names.count("rows"), names.count("pieces"), _trials(directory)
    found = [
        f"{count} finished {what}{'s' * (count != 1)}"
        for count, what in ((attacks, "attack"), (parts, "stage"), (trials, "trial"))
        if count
    ]
    return " and ".join(found)


def _trials(directory: Path) -> int:
    """How many trials of a search are on file."""
    from advplug.composition.run import TRIALS

    try:
        return len((directory / TRIALS).read_bytes().splitlines())
    except FileNotFoundError:
        return 0


def with_page(evaluation: Evaluation, *, report: bool) -> tuple[Evaluation, Path | None]:
    """Write the page, if it is wanted; the evaluation says what could not be written.

    The page comes before what is printed, which may go to where nobody reads, or into a full disk.
    """
    if not report:
        return evaluation, None
    from advplug.report import write_report

    try:
        return evaluation, write_report(evaluation)
    except OSError as error:
        reasons = {**evaluation.unsaved, "report.html": error.strerror or str(error)}
        return replace(evaluation, unsaved=reasons), None


def print_table(evaluation: Evaluation) -> None:
    """The table of an evaluation on stdout."""
    from advplug.cli import _table

    _table.print_table(evaluation)


def say_where(page: Path | None, *, err: bool) -> None:
    """Name the page, and the plugins whose findings or sections failed."""
    if page is not None:
        click.echo(f"report: {page}", err=err)
    _console.warn_of_hooks(default_manager().failures)


def with_plugins(job: Job, *keys: str) -> Job:
    """``job`` with more plugins whose provenance goes on record."""
    return replace(job, plugins=tuple(dict.fromkeys((*job.plugins, *keys))))
