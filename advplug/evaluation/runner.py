"""Runs a job: every recipe on the same samples, slice by slice, every piece recorded."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch

from advplug.adaptive import Recipe
from advplug.engine.gateway import Gateway
from advplug.engine.problem import Options, Problem
from advplug.errors import InvalidInput, NoGradient
from advplug.evaluation.chain import SLICE, Chain, chains_of
from advplug.evaluation.diagnostics.diagnose import diagnose
from advplug.evaluation.environment import describe
from advplug.evaluation.executors import Answer, Executor, Given, Inline, Labour
from advplug.evaluation.landscapes import landscapes
from advplug.evaluation.problems import Watch, as_findings, problem_of
from advplug.evaluation.progress import Progress
from advplug.evaluation.rows import row_of
from advplug.evaluation.storage.behaviour import answers, code_of, fingerprint, still_holds
from advplug.evaluation.storage.piece import Piece, joined
from advplug.evaluation.storage.run_directory import RunDirectory
from advplug.evaluation.storage.store import Store, Tell, opened
from advplug.plugins.manager import Manager, default_manager
from advplug.records.evaluation import Evaluation, Row
from advplug.records.finding import Finding
from advplug.records.job import Job


@torch.inference_mode(False)
def evaluate(
    job: Job,
    *,
    manager: Manager | None = None,
    watch: Watch | None = None,
    tell: Tell | None = None,
    executor: Executor | None = None,
    build: Callable[[], Job] | None = None,
) -> Evaluation:
    """Run every recipe of ``job``; rows and pieces that its run directory already holds are read, not repeated.

    A damaged file is computed again, alone, and ``tell`` hears so in one line. A row that cannot be written does not
    end the run: ``unsaved`` of the evaluation has the reason. Without ``tell`` both are warnings.

    A plugin may run the job instead, through ``advplug_evaluate``, and add findings through ``advplug_diagnose``. One
    that raises, or returns something else than an Evaluation, is a failure that ``advplug doctor`` names, and the job
    goes on without it.

    Parameters
    ----------
    executor: where the attacks run; in this process unless given.
    build: makes the same job in another process. Without it the job itself is sent there.

    Raises
    ------
    InvalidInput: before any attack runs, if one of them cannot run on this model and threat model, or the run directory
        cannot be written or another process writes there.
    NonFiniteLogits: the model returned NaN or infinite logits.
    """
    manager = manager or default_manager()
    evaluation = manager.first("advplug_evaluate", of=Evaluation, job=job)
    if evaluation is None:
        with opened(job.run_dir, tell or warnings.warn) as store:
            run = _Run(job, store, manager, watch)
            run.work(executor or Inline(), build)
            evaluation = run.evaluation()
    if tell is None and evaluation.unsaved:
        warnings.warn(evaluation.not_saved, stacklevel=2)
    return evaluation


@torch.inference_mode(False)
def work_on_share(
    job: Job,
    number: int,
    count: int,
    *,
    manager: Manager | None = None,
    watch: Watch | None = None,
    tell: Tell | None = None,
    executor: Executor | None = None,
    build: Callable[[], Job] | None = None,
) -> int:
    """Work on share ``number`` of ``count`` (from 1) of the slices, and leave the pieces in the run directory.

    Returns how many slices the share has. Parameters and errors are those of :func:`evaluate`.

    Raises
    ------
    InvalidInput: a piece could not be written, besides.
    """
    with opened(job.run_dir, tell or warnings.warn) as store:
        run = _Run(job, store, manager or default_manager(), watch)
        run.only(number, count)
        return run.work(executor or Inline(), build)


@torch.inference_mode(False)
def conclude(job: Job, shares: int, *, manager: Manager | None = None, tell: Tell | None = None) -> Evaluation:
    """The evaluation of a job all of whose pieces are in its run directory, worked on in so many ``shares``.

    Raises
    ------
    InvalidInput: some are not; the message names the shares that are not finished.
    """
    with opened(job.run_dir, tell or warnings.warn) as store:
        run = _Run(job, store, manager or default_manager(), None)
        chains = [chain for lot in run.lots for chain in lot.chains]
        waiting = {chain for lot in run.lots if lot.open for chain in lot.waiting}
        missing = sorted({chains.index(chain) % shares + 1 for chain in waiting})
        if missing:
            named = ", ".join(f"{number}/{shares}" for number in missing)
            raise InvalidInput(
                f"{len(waiting)} of {len(chains)} slices are not finished: run the command again with --shard {named}"
            )
        return run.evaluation()


@dataclass
class _Lot:
    """One recipe, and how far it is: ``waiting`` are the chains that are not finished, ``chains`` all.

    One that was named twice has a ``twin``, whose row is its own.
    """

    recipe: Recipe
    problem: Problem
    keys: tuple[str, ...] = ()
    chains: tuple[Chain, ...] = ()
    waiting: list[Chain] = field(default_factory=list)
    row: Row | None = None
    error: NoGradient | None = None
    twin: _Lot | None = None

    @property
    def open(self) -> bool:
        """Whether there is neither a row nor a reason why there is none."""
        return self.row is None and self.error is None


class _Run:
    """One job with its store."""

    def __init__(self, job: Job, store: Store, manager: Manager, watch: Watch | None) -> None:
        self.job, self.store, self.manager, self.watch = job, store, manager, watch
        self._described = False
        with as_findings():
            self.lots = [_Lot(recipe, problem_of(job, recipe)) for recipe in job.recipes]
        models = store.identify(lambda: answers(job))
        known = "" if job.run_dir is None else fingerprint(job, manager)
        for number, lot in enumerate(self.lots):
            try:
                self._look_up(number, lot, [f"{known} {model}" for model in models])
            except NoGradient as error:  # the other attacks still give a number
                lot.error = error

    def _look_up(self, number: int, lot: _Lot, models: Sequence[str]) -> None:
        """What the store has of a row."""
        if self.job.run_dir is None:
            lot.keys = (str(number),)
        else:
            with as_findings():
                draws = f" {self.job.draws} draws" if self.job.model.stochastic else ""  # their figures are of the row
                code = f"{self.job.sweep!r}{draws} {code_of(lot.recipe, lot.problem)}"
            name, components = lot.recipe.name, lot.recipe.components()
            lot.keys = tuple(RunDirectory.key(model, name, components, code) for model in models)
        lot.twin = next((each for each in self.lots[:number] if each.keys == lot.keys), None)
        if lot.twin is not None:
            return
        with as_findings():
            lot.chains = tuple(chains_of(number, lot.problem, lot.recipe.attack))
        row = self.store.row(lot.keys, lot.recipe.name, tuple(self.job.images.inputs.shape))
        if row is not None and still_holds(lot.problem, row.arrays):
            lot.row = row
            return
        lot.waiting = [chain for chain in lot.chains if not self._is_finished(lot, chain)]

    def _is_finished(self, lot: _Lot, chain: Chain) -> bool:
        """Whether the store has all of a chain; a piece that is damaged, or does not hold any more, is forgotten."""
        content = self.store.piece(lot.keys, lot.recipe.name, chain)
        if content is None:
            return False
        if content.startswith(NO_GRADIENT):
            lot.error = NoGradient(content.removeprefix(NO_GRADIENT).decode())
            return True
        try:
            piece = Piece.from_bytes(content)
            result = piece.result
            if (piece.start, len(result.success)) != (chain.start, chain.stop - chain.start):
                raise InvalidInput("it is of another slice")
        except InvalidInput as error:
            self.store.tell(f"a piece of the row {lot.recipe.name} is damaged ({error}): it is computed again, alone")
            self.store.forget_piece(lot.keys, chain)
            return False
        rows = torch.arange(chain.start, chain.stop, device=lot.problem.inputs.device)
        if not still_holds(lot.problem.at(rows), vars(result)):
            self.store.forget_piece(lot.keys, chain)
            return False
        return piece.done

    def only(self, number: int, count: int) -> None:
        """Leave all but one share of the chains to others."""
        chains = [chain for lot in self.lots for chain in lot.chains]
        own = set(chains[number - 1 :: count])
        for lot in self.lots:
            lot.chains = tuple(chain for chain in lot.chains if chain in own)
            lot.waiting = [chain for chain in lot.waiting if chain in own]

    def work(self, executor: Executor, build: Callable[[], Job] | None) -> int:
        """Let ``executor`` work on all that is waiting; returns how many chains there are."""
        waiting = [chain for lot in self.lots for chain in lot.waiting]
        names = {number: lot.recipe.name for number, lot in enumerate(self.lots) if lot.waiting}
        progress = Progress(self.watch, names, waiting)
        labour = Labour(
            job=self.job, build=build or Given(self.job), chains=waiting, before=self._before, heard=progress.heard
        )
        for answer in executor.run(labour) if waiting else ():
            self._take(answer, progress)
        self._describe()
        return sum(len(lot.chains) for lot in self.lots)

    def _describe(self) -> None:
        if not self._described:
            self.store.describe(self.job.named)
        self._described = True

    def _before(self, chain: Chain) -> bytes | None:
        lot = self.lots[chain.recipe]
        return self.store.piece(lot.keys, lot.recipe.name, chain)

    def _take(self, answer: Answer, progress: Progress) -> None:
        """Record one stage of one chain, and the row if it was the last."""
        chain, lot = answer.chain, self.lots[answer.chain.recipe]
        self._describe()  # not before something was found that is worth a directory
        content = answer.content
        if answer.error is not None:
            lot.error, content = answer.error, NO_GRADIENT + str(answer.error).encode()
        self.store.keep_piece(lot.keys[0], lot.recipe.name, chain, content)
        if answer.done:
            lot.waiting.remove(chain)
            progress.finished(chain)
        if not lot.waiting:
            self._finish(lot)
            progress.row_finished(chain.recipe)

    def _finish(self, lot: _Lot) -> None:
        """Put the row together, if all of it is here."""
        if not lot.open or lot.waiting or sum(chain.stop - chain.start for chain in lot.chains) < len(self.job.images):
            return
        with as_findings():
            row = row_of(self.job, lot.recipe, lot.problem, joined([self._piece(lot, chain) for chain in lot.chains]))
        lot.row = self.store.keep(lot.keys, row)

    def _piece(self, lot: _Lot, chain: Chain) -> Piece:
        content = self.store.piece(lot.keys, lot.recipe.name, chain)
        if content is None:
            raise InvalidInput(f"a piece of the row {lot.recipe.name} is gone from {self.job.run_dir}: {_AGAIN}")
        return Piece.from_bytes(content).to(self.job.images.inputs.device)

    def evaluation(self) -> Evaluation:
        """The evaluation, with all that is found about it."""
        for lot in self.lots:  # of rows that others worked on
            self._finish(lot)
            if lot.twin is not None:
                lot.row, lot.error = lot.twin.row, lot.twin.error
        rows, keys = [], []
        for lot in self.lots:
            if lot.row is not None:
                rows.append(lot.row)
                keys.append(lot.keys[0])
        if not rows:
            raise next(lot.error for lot in self.lots if lot.error is not None)
        evaluation = self._of_rows(tuple(rows))
        evaluation = replace(evaluation, landscapes=landscapes(self.job, evaluation))
        found = self.manager.collect("advplug_diagnose", of=Finding, job=self.job, evaluation=evaluation)
        not_run = [lot.recipe.name for lot in self.lots if lot.error is not None]
        evaluation = replace(evaluation, findings=(*diagnose(self.job, evaluation, not_run), *found))
        return self.store.finish(evaluation, keys)

    def _of_rows(self, rows: tuple[Row, ...]) -> Evaluation:
        job = self.job
        correct, clean_error_rate, rejected = _clean(job)
        return Evaluation(
            case=job.case,
            preset=job.preset,
            threat=str(job.threat),
            samples=len(job.images),
            clean_accuracy=correct,
            clean_error_rate=clean_error_rate if job.model.stochastic else None,
            false_positives=rejected if job.model.rejects else None,
            rows=rows,
            claim=job.claim,
            lesson=job.lesson,
            environment=describe(job, self.manager),
            inputs=job.images.inputs.cpu().numpy(),
            labels=job.images.labels.cpu().numpy(),
            class_names=job.images.class_names,
            transcribed=job.images.transcribed,
            sample_rate=job.images.sample_rate,
        )


NO_GRADIENT = b"no gradient: "
"""Begins what is stored for a chain of an attack that needs a gradient, where the model gives none."""

_AGAIN = "give the same command again"


def _clean(job: Job) -> tuple[float, float, float]:
    """Clean accuracy, mean flip rate and share of rejected clean inputs."""
    with Gateway(job.model, job.images.inputs[:1], seed=job.seed) as gateway:
        gateway.take_at_most(SLICE)
        decisions = gateway.decisions(job.images.inputs, Options().draws)
    labels = job.images.labels
    wrong = torch.stack([(d.labels != labels) | ~d.accepted for d in decisions]).float().mean(0)
    rejected = torch.stack([~d.accepted for d in decisions]).float().mean()
    return float((wrong < 0.5).double().mean()), float(wrong.mean()), float(rejected)
