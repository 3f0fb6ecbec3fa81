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
from advplug.engine import run_attack, run_sweep
from advplug.errors import RobustnessWarning
from advplug.evaluation.curve import shrink
from advplug.evaluation.diagnostics import Finding, signs_of_masking
from advplug.evaluation.environment import describe
from advplug.evaluation.job import Job
from advplug.evaluation.preflight import averages, preflight
from advplug.evaluation.records import Evaluation, Row
from advplug.evaluation.run_directory import RunDirectory
from advplug.guard import guarded
from advplug.hookspecs import hookimpl
from advplug.manager import Manager, default_manager
from advplug.memory import DEFAULT_BUDGET, rows_within
from advplug.problem import Options, Problem, make_problem
from advplug.result import AttackResult
from advplug.verify import decide

Watch = Callable[[str, int, int, int], None]
"""Called as ``watch(attack name, steps done, steps planned, samples still standing)``.

Each attack that is run, not read back, starts with a call of no steps done and none planned.
"""

_HOST = "advplug-host"
_RECORDED = (
    "success", "rate", "correct", "flips", "detected", "distance", "target", "restart", "stage", "forwards",
    "backwards", "lost_gradients", "trace",
)  # fmt: skip


def evaluate(job: Job, *, manager: Manager | None = None, watch: Watch | None = None) -> Evaluation:
    """Run every recipe of ``job``; rows that its run directory already holds are read, not repeated.

    Plugins may wrap this through ``advplug_evaluate`` and add findings through ``advplug_diagnose``.

    Raises
    ------
    InvalidInput: before any attack runs, if one of them cannot run on this model and threat model.
    NonFiniteLogits: the model returned NaN or infinite logits.
    """
    manager = manager or default_manager()
    if not manager.pm.has_plugin(_HOST):
        manager.pm.register(_HostEvaluation(), _HOST)
    host = manager.pm.get_plugin(_HOST)
    assert isinstance(host, _HostEvaluation)
    host.manager, host.watch = manager, watch
    evaluation: Evaluation = manager.pm.hook.advplug_evaluate(job=job)
    return evaluation


class _HostEvaluation:
    """The host's own answers: to ``advplug_evaluate``, asked last, and to ``advplug_diagnose``."""

    manager: Manager
    watch: Watch | None = None

    @hookimpl(trylast=True)
    def advplug_evaluate(self, job: Job) -> Evaluation:
        problems = [_problem(job, recipe, self.watch) for recipe in job.recipes]
        directory = None if job.run is None else RunDirectory(job.run)
        fingerprint, rows, keys = job.fingerprint(), [], []
        for recipe, problem in zip(job.recipes, problems, strict=True):
            key = RunDirectory.key(fingerprint, recipe.name, recipe.words(), repr(job.sweep))
            row = None if directory is None else directory.load_row(key)
            if row is None:
                if self.watch is not None:
                    self.watch(recipe.name, 0, 0, len(job.images))
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", RobustnessWarning)  # they become findings
                    row = _row(job, recipe, problem)
                if directory is not None:
                    directory.save_row(key, row)
            rows.append(row)
            keys.append(key)
        evaluation = self._evaluation(job, tuple(rows))
        evaluation = replace(
            evaluation,
            findings=tuple(self.manager.collect("advplug_diagnose", of=Finding, job=job, evaluation=evaluation)),
        )
        return evaluation if directory is None else directory.save(evaluation, keys)

    @hookimpl
    def advplug_diagnose(self, job: Job, evaluation: Evaluation) -> list[Finding]:
        found = list(signs_of_masking(evaluation))
        if job.claim is not None:  # a case knows what it attacks
            return found
        recipe = next((recipe for recipe in job.recipes if averages(recipe.gradient)), job.recipes[0])
        lost = any(finding.name == "lost-gradients" for finding in found)  # then it need not be said of the inputs, too
        before = preflight(_problem(job, recipe, None))
        return found + [finding for finding in before if not (lost and finding.name == "zero-gradients")]

    def _evaluation(self, job: Job, rows: tuple[Row, ...]) -> Evaluation:
        correct, flips, rejected = _clean(job)
        return Evaluation(
            case=job.case,
            preset=job.preset,
            threat=str(job.threat),
            samples=len(job.images),
            clean_accuracy=correct,
            flips=flips if job.model.stochastic else None,
            false_positives=rejected if job.model.rejects else None,
            rows=rows,
            claim=job.claim,
            lesson=job.lesson,
            environment={"seed": job.seed, **describe(self.manager, job.plugins, job.images.inputs.device)},
            inputs=job.images.inputs.cpu().numpy(),
            labels=job.images.labels.cpu().numpy(),
            class_names=job.images.class_names,
        )


def _problem(job: Job, recipe: Recipe, watch: Watch | None) -> Problem:
    def progress(done: int, total: int, alive: int) -> None:
        if watch is not None:
            watch(recipe.name, done, total, alive)

    return make_problem(
        recipe.on or job.model,
        job.images.inputs,
        job.images.labels,
        job.threat,
        targets=recipe.targets,
        loss=recipe.loss,
        gradient=recipe.gradient,
        criterion=recipe.criterion,
        auxiliary=job.auxiliary,
        options=Options(
            seed=job.seed,
            restarts=recipe.restarts,
            targets_at_once=recipe.targets_at_once,
            batch_size=job.batch_size,
            progress=progress,
        ),
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
        words=recipe.words(),
        sweep=sweep,
        stages=result.accuracy_after_stages(),
        shrunk=shrunk,
        arrays=_arrays(result) | {"predicted": predicted},
    )


def _looked_at(problem: Problem, result: AttackResult) -> tuple[tuple[tuple[float, float], ...], NDArray[np.int64]]:
    """What the adversarials leave when shrunk, and the class that the model gives to each, int64 (N,)."""
    with guarded(problem.model, problem.options.seed, problem.inputs.device):
        rows = rows_within(DEFAULT_BUDGET, problem.model, problem.inputs[:1])
        predicted = decide(problem.model, result.adversarials, 1, rows)[0].labels
        return shrink(problem, result, rows), predicted.cpu().numpy()


def _clean(job: Job) -> tuple[float, float, float]:
    """Clean accuracy, mean flip rate and share of rejected clean inputs."""
    options = Options()
    with guarded(job.model, job.seed, job.images.inputs.device):
        rows = rows_within(options.memory_budget, job.model, job.images.inputs[:1])
        decisions = decide(job.model, job.images.inputs, options.draws, rows)
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
