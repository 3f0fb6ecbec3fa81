"""What all attacks of an evaluation leave together: each sample counts as the strongest attack on it left it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from advplug.records.evaluation import Evaluation, Row
from advplug.records.per_sample import left_by

NAME = "best of all attacks per sample"
SHORT = "best per sample"
"""The same in a table that says "all" beside it."""
BASELINES = "best baseline per sample"
"""The same of the baselines alone."""
LONG = {SHORT: NAME, BASELINES: "best of the baselines per sample"}
"""Each of them where nothing beside it says "all"."""

_ROUNDING = 1e-6


def attacks(evaluation: Evaluation) -> list[Row]:
    """The rows of the evaluated model with their records; controls attack another one."""
    return [row for row in evaluation.rows if row.role != "control" and "success" in row.arrays]


def accuracy(evaluation: Evaluation) -> float | None:
    """Share of the samples that no attack breaks; None where the records of a row are missing.

    Of a stochastic model it is the mean over the samples of the share of draws that are right under the attack that is
    strongest on the sample.
    """
    rows = attacks(evaluation)
    if not rows or len(rows) < sum(row.role != "control" for row in evaluation.rows):
        return None
    return float(np.min([left_by(row.arrays) for row in rows], axis=0).mean())


def nearest(rows: Sequence[Row]) -> NDArray[np.float64]:
    """The least distance of each sample's adversarials (N,): 0 for samples that were wrong, inf for those that stand.

    In a sweep what a smaller budget broke is not attacked again, so that the distance tells which budget broke it.
    """
    found = [_distance(row) for row in rows]
    return np.asarray(np.min(found, axis=0), np.float64)


def median_and_mean(evaluation: Evaluation) -> tuple[float, float] | None:
    """Of the least distances of the samples that fell, as the rows have them of theirs; None where none fell."""
    rows = attacks(evaluation)
    found = np.sort(nearest(rows)) if rows else np.zeros(0)
    found = found[np.isfinite(found) & (found > 0)]
    return (float(found[(len(found) - 1) // 2]), float(found.mean())) if len(found) else None


def accuracy_at(rows: Sequence[Row], budget: float) -> float:
    """Share of the samples that none of ``rows`` breaks within ``budget``."""
    return float((nearest(rows) > budget * (1 + _ROUNDING)).mean())


def curve(evaluation: Evaluation) -> tuple[tuple[float, float], ...]:
    """Pairs (budget, accuracy) that were measured: at every budget that all attacks ran at, or at every distance.

    Empty where there are no records, or a single attack.
    """
    rows, whole = attacks(evaluation), accuracy(evaluation)
    if whole is None or len(rows) < 2:
        return ()
    if evaluation.epsilon is None:
        return staircase(nearest(rows), evaluation.clean_accuracy)
    budgets = sorted(set.intersection(*({budget for budget, _ in row.sweep} for row in rows)) - {evaluation.epsilon})
    smaller = tuple((budget, accuracy_at(rows, budget)) for budget in budgets)
    return ((0.0, evaluation.clean_accuracy), *smaller, (evaluation.epsilon, whole))


def staircase(distance: NDArray[Any], start: float) -> tuple[tuple[float, float], ...]:
    """Accuracy after each of the finite distances (N,) above 0, ascending, from ``start`` at 0."""
    found = np.sort(distance[np.isfinite(distance) & (distance > 0)])
    left = start - np.arange(1, len(found) + 1) / max(1, len(distance))
    return ((0.0, start), *zip(found.tolist(), left.clip(0).tolist(), strict=True))


def _distance(row: Row) -> NDArray[np.float64]:
    success = np.asarray(row.arrays["success"], bool)
    missing = np.full(len(success), np.nan)
    found = np.where(success, np.asarray(row.arrays.get("distance", missing), np.float64), np.inf)
    correct = np.asarray(row.arrays.get("correct", np.ones_like(success)), bool)
    return np.where(correct, np.nan_to_num(found, nan=0.0, posinf=np.inf), 0.0)
