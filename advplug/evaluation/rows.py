"""A finished row, put together from its pieces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from numpy.typing import NDArray

from advplug.adaptive import Recipe
from advplug.engine.problem import Problem
from advplug.engine.result import AttackResult
from advplug.evaluation.curve import accuracy_within
from advplug.evaluation.diagnostics.convergence import with_twice_the_steps
from advplug.evaluation.randomised import over_draws
from advplug.evaluation.rejection import at_fixed_rates
from advplug.evaluation.storage.piece import Piece
from advplug.evaluation.worker import budgets_of
from advplug.records.evaluation import Row
from advplug.records.job import Job

_RECORDED = (
    "success", "success_rate", "correct", "clean_error_rate", "detected", "lost", "given_up", "distance", "target",
    "restart", "stage", "forwards", "backwards", "unusable_gradients", "trace", "evaluations",
)  # fmt: skip


def row_of(job: Job, recipe: Recipe, problem: Problem, piece: Piece) -> Row:
    """The row of ``recipe`` from what it found on all samples."""
    result, attacked = piece.result, piece.result.correct
    return Row(
        role=recipe.role,
        name=recipe.name,
        library=recipe.library,
        robust_accuracy=result.robust_accuracy,
        detected=_mean(result.detected, attacked) if problem.model.rejects else None,
        queries=_mean(result.forwards, attacked),
        gradients=_mean(result.backwards, attacked),
        seconds=piece.seconds,
        median_distance=_over_successes(result, torch.median),
        mean_distance=_over_successes(result, torch.mean),
        published=recipe.published,
        source=recipe.source,
        components=recipe.components(),
        sweep=_sweep(job, piece),
        queries_at=tuple((at, _mean(spent, attacked)) for at, spent in zip(budgets_of(job), piece.passes, strict=True)),
        stages=result.accuracy_after_stages(),
        left_out=result.left_out,
        lost=int(result.lost.sum()),
        more_steps=(0, 0) if job.claim is not None else with_twice_the_steps(recipe.attack, problem, result),
        shrunk=accuracy_within(problem.threat, result.correct, piece.smallest),
        randomised=over_draws(problem, result, job.draws),
        rejection=at_fixed_rates(problem, result),
        arrays=_arrays(result) | {"predicted": piece.predicted.cpu().numpy()},
    )


def _sweep(job: Job, piece: Piece) -> tuple[tuple[float, float], ...]:
    budgets = budgets_of(job)
    if budgets:
        return tuple(zip(budgets, piece.standing.mean(1).tolist(), strict=True))
    return tuple((budget, piece.result.robust_accuracy_at(budget)) for budget in job.sweep)


def _mean(values: torch.Tensor, rows: torch.Tensor) -> float:
    return float(values[rows].double().mean()) if bool(rows.any()) else 0.0


def _over_successes(result: AttackResult, statistic: Callable[[torch.Tensor], torch.Tensor]) -> float | None:
    return float(statistic(result.distance[result.success])) if bool(result.success.any()) else None


def _arrays(result: AttackResult) -> dict[str, NDArray[Any]]:
    return {name: getattr(result, name).cpu().numpy() for name in ("adversarials", *_RECORDED)}
