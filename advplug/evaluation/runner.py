"""Runs a job: every recipe on the same samples, every row recorded."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from advplug.adaptive import Recipe
from advplug.engine.gateway import Gateway
from advplug.engine.problem import Options, Problem
from advplug.engine.result import AttackResult
from advplug.engine.stages import run_attack, run_sweep
from advplug.errors import NoGradient
from advplug.evaluation.behaviour import answers, code_of, fingerprint, still_holds
from advplug.evaluation.convergence import with_twice_the_steps
from advplug.evaluation.curve import shrink
from advplug.evaluation.diagnose import diagnose
from advplug.evaluation.environment import describe
from advplug.evaluation.problems import Watch, as_findings, problem_of
from advplug.evaluation.run_directory import RunDirectory
from advplug.evaluation.store import Store, Tell, opened
from advplug.plugins.manager import Manager, default_manager
from advplug.records.evaluation import Evaluation, Row
from advplug.records.finding import Finding
from advplug.records.job import Job

_RECORDED = (
    "success", "success_rate", "correct", "clean_error_rate", "detected", "lost", "distance", "target", "restart",
    "stage", "forwards", "backwards", "unusable_gradients", "trace",
)  # fmt: skip


@torch.inference_mode(False)
def evaluate(
    job: Job, *, manager: Manager | None = None, watch: Watch | None = None, tell: Tell | None = None
) -> Evaluation:
    """Run every recipe of ``job``; rows that its run directory already holds are read, not repeated.

    A damaged row is computed again, alone, and ``tell`` hears so in one line. A row that cannot be written does not end
    the run: ``unsaved`` of the evaluation has the reason. Without ``tell`` both are warnings.

    A plugin may run the job instead, through ``advplug_evaluate``, and add findings through ``advplug_diagnose``. One
    that raises, or returns something else than an Evaluation, is a failure that ``advplug doctor`` names, and the job
    goes on without it.

    Raises
    ------
    InvalidInput: before any attack runs, if one of them cannot run on this model and threat model, or the run directory
        cannot be written or another process writes there.
    NonFiniteLogits: the model returned NaN or infinite logits.
    """
    manager = manager or default_manager()
    evaluation = manager.first("advplug_evaluate", of=Evaluation, job=job)
    evaluation = evaluation or _Runner(manager, watch, tell or warnings.warn).evaluate(job)
    if tell is None and evaluation.unsaved:
        warnings.warn(evaluation.not_saved, stacklevel=2)
    return evaluation


class _Runner:
    """The host's own way to run a job."""

    def __init__(self, manager: Manager, watch: Watch | None, tell: Tell) -> None:
        self.manager, self.watch, self.tell = manager, watch, tell

    def evaluate(self, job: Job) -> Evaluation:
        with opened(job.run_dir, self.tell) as store:
            return self._stored(job, store)

    def _stored(self, job: Job, store: Store) -> Evaluation:
        with as_findings():
            problems = [problem_of(job, recipe, self.watch) for recipe in job.recipes]
        model = store.identify(lambda: answers(job))
        known = "" if job.run_dir is None else fingerprint(job, self.manager)
        rows, keys = [], []
        not_run: dict[str, NoGradient] = {}
        for recipe, problem in zip(job.recipes, problems, strict=True):
            try:
                key = self._key(job, recipe, problem, f"{known} {model}")
                row = store.row(key, recipe.name, tuple(job.images.inputs.shape))
                if row is None or not still_holds(problem, row):
                    if self.watch is not None:
                        self.watch(recipe.name, 0, 0, len(job.images))
                    with as_findings():
                        row = _row(job, recipe, problem)
                    store.keep(key, row)
            except NoGradient as error:  # the other attacks still give a number
                not_run[recipe.name] = error
                continue
            rows.append(row)
            keys.append(key)
        if not rows:
            raise next(iter(not_run.values()))
        evaluation = self._evaluation(job, tuple(rows))
        found = self.manager.collect("advplug_diagnose", of=Finding, job=job, evaluation=evaluation)
        evaluation = replace(evaluation, findings=(*diagnose(job, evaluation, list(not_run)), *found))
        return store.finish(evaluation, keys)

    @staticmethod
    def _key(job: Job, recipe: Recipe, problem: Problem, model: str) -> str:
        """Name of a row's files, "" where nothing is written."""
        if job.run_dir is None:
            return ""
        with as_findings():
            code = code_of(recipe, problem)
        return RunDirectory.key(model, recipe.name, recipe.components(), f"{job.sweep!r} {code}")

    def _evaluation(self, job: Job, rows: tuple[Row, ...]) -> Evaluation:
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
            environment={"seed": job.seed, **describe(self.manager, job.plugins, job.images.inputs.device)},
            inputs=job.images.inputs.cpu().numpy(),
            labels=job.images.labels.cpu().numpy(),
            class_names=job.images.class_names,
        )


def _row(job: Job, recipe: Recipe, problem: Problem) -> Row:
    start = time.perf_counter()
    sweep: tuple[tuple[float, float], ...] = ()
    if job.sweep and job.threat.epsilon is not None:
        budgets = [*job.sweep, job.threat.epsilon]
        results = run_sweep(recipe.attack, problem, budgets)
        sweep = tuple((budget, found.robust_accuracy) for budget, found in zip(budgets, results, strict=True))
        # What a smaller budget broke is not attacked again: the last figure cost the passes of all budgets.
        result = replace(
            results[-1],
            forwards=torch.stack([found.forwards for found in results]).sum(0),
            backwards=torch.stack([found.backwards for found in results]).sum(0),
        )
    else:
        result = run_attack(recipe.attack, problem)
        sweep = tuple((budget, result.robust_accuracy_at(budget)) for budget in job.sweep)
    seconds = time.perf_counter() - start
    shrunk, predicted = _looked_at(problem, result)
    attacked = result.correct
    return Row(
        role=recipe.role,
        name=recipe.name,
        library=recipe.library,
        robust_accuracy=result.robust_accuracy,
        detected=_mean(result.detected, attacked) if problem.model.rejects else None,
        queries=_mean(result.forwards, attacked),
        gradients=_mean(result.backwards, attacked),
        seconds=seconds,
        median_distance=_over_successes(result, torch.median),
        mean_distance=_over_successes(result, torch.mean),
        published=recipe.published,
        source=recipe.source,
        components=recipe.components(),
        sweep=sweep,
        stages=result.accuracy_after_stages(),
        left_out=result.left_out,
        lost=int(result.lost.sum()),
        more_steps=(0, 0) if job.claim is not None else with_twice_the_steps(recipe.attack, problem, result),
        shrunk=shrunk,
        arrays=_arrays(result) | {"predicted": predicted},
    )


def _looked_at(problem: Problem, result: AttackResult) -> tuple[tuple[tuple[float, float], ...], NDArray[np.int64]]:
    """What the adversarials leave when shrunk, and the class that the model gives to each, int64 (N,)."""
    with problem.gateway() as gateway:
        predicted = gateway.decide(gateway.cast(result.adversarials)).labels
        return shrink(problem, result, gateway), predicted.cpu().numpy()


def _clean(job: Job) -> tuple[float, float, float]:
    """Clean accuracy, mean flip rate and share of rejected clean inputs."""
    with Gateway(job.model, job.images.inputs[:1], seed=job.seed) as gateway:
        decisions = gateway.decisions(job.images.inputs, Options().draws)
    labels = job.images.labels
    wrong = torch.stack([(d.labels != labels) | ~d.accepted for d in decisions]).float().mean(0)
    rejected = torch.stack([~d.accepted for d in decisions]).float().mean()
    return float((wrong < 0.5).double().mean()), float(wrong.mean()), float(rejected)


def _mean(values: torch.Tensor, rows: torch.Tensor) -> float:
    return float(values[rows].double().mean()) if bool(rows.any()) else 0.0


def _over_successes(result: AttackResult, statistic: Callable[[torch.Tensor], torch.Tensor]) -> float | None:
    return float(statistic(result.distance[result.success])) if bool(result.success.any()) else None


def _arrays(result: AttackResult) -> dict[str, NDArray[Any]]:
    return {name: getattr(result, name).cpu().numpy() for name in ("adversarials", *_RECORDED)}
