"""Runs a search on a job: stage by stage, each kept in the run directory, and the record of what was found."""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path

import torch

from advplug.adaptive import Recipe
from advplug.attack import Course, Stage
from advplug.composition.attack import Searching
from advplug.composition.elsewhere import in_cluster, in_processes
from advplug.composition.journal import Journal
from advplug.composition.plan import Plan
from advplug.composition.sequence import Here, Tries, candidates, chosen_half, next_stage, searched
from advplug.composition.verdict import halves, remark, winning
from advplug.composition.words import fitting_attacks
from advplug.engine.problem import Problem
from advplug.engine.result import AttackResult
from advplug.engine.stages import advance
from advplug.errors import InvalidInput
from advplug.evaluation.chain import Chain
from advplug.evaluation.executors import Executor, Given, Inline, Processes, Ray
from advplug.evaluation.problems import Watch, as_findings, problem_of
from advplug.evaluation.storage.behaviour import answers, code_of, fingerprint
from advplug.evaluation.storage.piece import Piece
from advplug.evaluation.storage.run_directory import RunDirectory
from advplug.evaluation.storage.store import Store, Tell, opened
from advplug.families.around import AttackAround
from advplug.plugins.manager import Manager, default_manager
from advplug.records.composition import Composition, Trial
from advplug.records.files import replace_file
from advplug.records.job import Job
from advplug.tracing.examine import examine

NAME = "search"
DOCUMENT, TRIALS = "search.json", "trials.jsonl"

Heard = Callable[[Trial], None]
"""Called with each trial."""


@dataclass(frozen=True, kw_only=True)
class Named:
    """Model, data and threat as the user named them, and further options of ``advplug evaluate``, such as bounds."""

    model: str
    data: str
    threat: str
    options: Mapping[str, str] = field(default_factory=dict)


@torch.inference_mode(False)
def search(
    job: Job,
    plan: Plan,
    *,
    named: Named,
    manager: Manager | None = None,
    watch: Watch | None = None,
    tell: Tell | None = None,
    heard: Heard = lambda trial: None,
    executor: Executor | None = None,
    build: Callable[[], Job] | None = None,
) -> Composition:
    """Search for the sentences that break the model of ``job``; its recipes play no part.

    What its run directory holds of the same search is read and not repeated: finished stages, and finished trials.
    ``search.json`` is written there at the end.

    Parameters
    ----------
    named: how the user named model, data and threat.
    watch, heard: hear of the steps of each stage, and of each trial.
    executor: where sentences are tried, several at a time; None for this process. The record is the same everywhere.
    build: makes the same job in another process. Without it the job itself is sent there.

    Raises
    ------
    WorkerLost: a process in which sentences are tried ended.
    InvalidInput: the suite cannot run on this model and threat model, or the run directory cannot be written.
    NonFiniteLogits: the model returned NaN or infinite logits.
    """
    manager = manager or default_manager()
    place = _place(job, plan, executor or Inline(), build or Given(job))
    with opened(job.run_dir, tell or warnings.warn) as store, as_findings(), place as tries:
        attack = Searching(**{field.name: getattr(plan, field.name) for field in fields(Plan)})
        recipe = Recipe(name=NAME, attack=attack)
        shown = _Shown(watch or _nobody, plan.trials, heard)
        problem = problem_of(job, recipe, shown.steps)
        store.describe(job.named)
        key = _key(job, recipe, problem, store, manager)
        path = None if job.run_dir is None else job.run_dir / TRIALS
        run = _Run(
            job, problem, _Noted(attack=attack, journal=Journal(path, key, shown.trial), tries=tries), store, key
        )
        composition = run.conclude(plan, named)
        if job.run_dir is not None:
            write(composition, job.run_dir)
    return composition


def write(composition: Composition, folder: Path) -> None:
    """Write ``search.json``."""
    text = json.dumps(composition.to_json(), indent=1)
    replace_file(folder / DOCUMENT, lambda file: file.write_text(text, encoding="utf-8"))


@contextmanager
def _here(executor: Inline) -> Iterator[Tries]:
    with executor.own_threads():
        yield Here()


def _place(job: Job, plan: Plan, executor: Executor, build: Callable[[], Job]) -> AbstractContextManager[Tries]:
    """Where the trials run.

    Raises
    ------
    InvalidInput: the executor is none of those that the project has.
    """
    if isinstance(executor, Inline):
        return _here(executor)
    if isinstance(executor, Processes):
        return in_processes(job, build, plan, executor)
    if isinstance(executor, Ray):
        return in_cluster(job, build, plan, executor)
    raise InvalidInput(f"a search cannot run on {type(executor).__name__}: take Inline, Processes or Ray")


class _Shown:
    """Shows the suite, the trials for each sentence and the sentence itself as one job after the other."""

    def __init__(self, watch: Watch, trials: int, heard: Heard) -> None:
        self.watch, self.trials, self.heard = watch, trials, heard
        self.name, self.tried, self.part = "", 0, 0

    def steps(self, _: str, done: int, total: int, alive: int) -> None:
        """A step of a stage."""
        self._begin(f"sentence {self.part}" if self.part else "standard", alive)
        self.watch(self.name, done, total, alive)

    def trial(self, trial: Trial) -> None:
        """A trial that is over."""
        self.part = trial.part
        self._begin(f"trials for sentence {trial.part}", trial.samples)
        self.tried += 1
        self.watch(self.name, min(self.tried, self.trials), self.trials, trial.samples)
        self.heard(trial)

    def _begin(self, name: str, alive: int) -> None:
        if name != self.name:
            self.name, self.tried = name, 0
            self.watch(name, 0, 0, alive)


def _nobody(name: str, done: int, total: int, alive: int) -> None:
    """Nobody watches."""


@dataclass(frozen=True, kw_only=True)
class _Noted(AttackAround):
    """The search, with a journal and a place of its own."""

    attack: Searching
    journal: Journal
    tries: Tries

    chooses_stages = True

    @property
    def inner(self) -> Searching:
        return self.attack

    def run(self, task: object) -> None:
        raise TypeError("the search runs in stages: use advplug.run")

    def stages(self, problem: Problem) -> list[Stage]:
        return list(self.attack.stages(problem))

    def next_stage(self, problem: Problem, course: Course) -> Stage | None:
        return next_stage(problem, course, self.attack, self.journal, self.tries)


def _key(job: Job, recipe: Recipe, problem: Problem, store: Store, manager: Manager) -> str:
    """Of the model, the data, the plan and the attacks that take part; the same search has the same."""
    if job.run_dir is None:
        return NAME
    model = store.identify(lambda: answers(job))[0]
    versions = {name: manager.provenance(f"attack:{name}").version for name in fitting_attacks(problem)}
    code = f"{code_of(recipe, problem)} {json.dumps(versions, sort_keys=True)} {job.batch_size}"
    known = hashlib.sha256(f"{fingerprint(job, manager)} {model}".encode()).hexdigest()
    return RunDirectory.key(known, NAME, recipe.components(), code)


class _Run:
    """The stages of one search, each stored when it is done."""

    def __init__(self, job: Job, problem: Problem, attack: _Noted, store: Store, key: str) -> None:
        self.job, self.problem, self.attack, self.store, self.key = job, problem, attack, store, key
        self.chain = Chain(0, 0, len(problem.inputs))

    def conclude(self, plan: Plan, named: Named) -> Composition:
        """Run what is not stored, and put the record together."""
        (standard, standard_seconds), (found, seconds) = self._stages()
        journal, problem = self.attack.journal, self.problem
        groups = halves(problem, standard, found)
        chosen = candidates(problem, standard, plan)
        if journal.places is None and len(chosen):
            journal.places = examine(problem.at(chosen)).places
        return Composition(
            model=named.model,
            data=named.data,
            threat=named.threat,
            options=named.options,
            seed=self.job.seed,
            places=journal.places or (),
            trials=tuple(journal.trials),
            sentences=winning(found, journal.trials),
            **groups,
            queries=_passes(found) + _in_vain(found, journal.trials),
            standard_queries=_passes(standard),
            seconds=seconds,
            standard_seconds=standard_seconds,
            remark=remark(standard, found, journal.trials, chosen_half(problem, standard)),
        )

    def _stages(self) -> tuple[tuple[AttackResult, float], tuple[AttackResult, float]]:
        """The results after the suite and in the end, with the seconds until then."""
        piece = self._stored(NAME)
        standard = self._stored("standard")
        if piece is None or standard is None:
            piece = standard = None
        if piece is not None:
            for part in range(1, 1 + len(searched(piece.result)) + piece.done):  # the last may have led to no stage
                self.attack.journal.recall(part)
        while piece is None or not piece.done:
            piece = self._advanced(piece)
            if not piece.done and not searched(piece.result):
                standard = piece
                self._keep("standard", piece)
            self._keep(NAME, piece)
        assert standard is not None
        return (standard.result, standard.seconds), (piece.result, piece.seconds)

    def _advanced(self, before: Piece | None) -> Piece:
        start = time.perf_counter()
        result, done = advance(self.attack, self.problem, None if before is None else before.result)
        seconds = (0.0 if before is None else before.seconds) + time.perf_counter() - start
        nothing = result.distance.new_zeros((0, len(result.success)))
        blank = torch.full_like(result.target, -1)
        return Piece(
            start=0,
            result=result,
            standing=nothing,
            passes=nothing.long(),
            predicted=blank,
            smallest=torch.full_like(result.distance, torch.inf),
            seconds=seconds,
            done=done,
        )

    def _keep(self, name: str, piece: Piece) -> None:
        self.store.keep_piece(self._place(name), name, self.chain, piece.to_bytes())

    def _stored(self, name: str) -> Piece | None:
        content = self.store.piece([self._place(name)], name, self.chain)
        if content is None:
            return None
        return Piece.from_bytes(content).to(self.problem.inputs.device)

    def _place(self, name: str) -> str:
        """The key of a piece: of the same length as that of a row."""
        return hashlib.sha256(f"{self.key} {name}".encode()).hexdigest()[:16]


def _in_vain(found: AttackResult, trials: Sequence[Trial]) -> float:
    """Passes for each sample of the trials that led to no stage, which no stage is charged with."""
    parts = len(searched(found))
    return sum(trial.queries * trial.samples for trial in trials if trial.part > parts) / len(found.success)


def _passes(result: AttackResult) -> float:
    return float((result.forwards + result.backwards).double().mean())
