"""What the minimum-norm benchmarks print: one row for each contestant."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from minimum_norm_judge import Outcome
from rich.table import Table
from torch import Tensor

from advplug.errors import InvalidInput
from advplug.evaluation.optimality import local_optimality

SLACK = 1e-6
"""Thresholds are inclusive."""


@dataclass(frozen=True)
class Row:
    """Shares within [0, 1]; ``mean`` and ``median`` distance over successes; ``robust`` at each threshold.

    ``success`` is the share of the images that were right before the attack, ``robust`` that of all images.
    ``distances`` has None for failures. NaN where there is nothing to average.
    """

    library: str
    attack: str
    settings: str
    success: float
    mean: float
    median: float
    robust: list[float]
    forwards: float
    gradients: float
    seconds: float
    optimality: float
    remarks: dict[str, int]
    error: str | None
    distances: list[float | None]

    def as_json(self) -> dict[str, object]:
        """Without NaN, which JSON lacks."""
        values = asdict(self)
        return {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in values.items()}


def rows(outcomes: list[Outcome], total: int, thresholds: tuple[float, ...]) -> list[Row]:
    """``total`` counts the images that were attacked and those that were wrong without."""
    found = [outcome.distances.nan_to_num(nan=math.inf) for outcome in outcomes]
    best = torch.stack(found).amin(0)
    return [
        _row(outcome, distances, best, total, thresholds) for outcome, distances in zip(outcomes, found, strict=True)
    ]


def _row(outcome: Outcome, distances: Tensor, best: Tensor, total: int, thresholds: tuple[float, ...]) -> Row:
    hits = distances[distances.isfinite()]
    return Row(
        library=outcome.contestant.library,
        attack=outcome.contestant.attack,
        settings=outcome.contestant.settings,
        success=len(hits) / len(distances),
        mean=float(hits.mean()) if len(hits) else math.nan,
        median=float(hits.quantile(0.5)) if len(hits) else math.nan,
        robust=[float((distances > threshold + SLACK).sum()) / total for threshold in thresholds],
        forwards=outcome.forwards,
        gradients=outcome.backwards,
        seconds=outcome.seconds,
        optimality=_optimality(distances, best, total),
        remarks=outcome.remarks,
        error=outcome.error,
        distances=[value if math.isfinite(value) else None for value in distances.tolist()],
    )


def _optimality(distances: Tensor, best: Tensor, total: int) -> float:
    wrong = torch.zeros(total - len(best), dtype=best.dtype)
    try:
        return local_optimality(torch.cat((distances, wrong)), torch.cat((best, wrong)))
    except InvalidInput:  # nobody broke anything
        return math.nan


def table(found: list[Row], thresholds: tuple[float, ...], title: str, caption: str) -> Table:
    """One line for each contestant."""
    head = ("library", "attack", "settings", "success %", "mean", "median")
    robust = (f"> {threshold:.4g}" for threshold in thresholds)
    tail = ("forwards", "gradients", "seconds", "optimality", "remarks")
    result = Table(*head, *robust, *tail, title=title, title_justify="left", caption=caption, caption_justify="left")
    result.columns[1].no_wrap = True
    for column in result.columns[3:-1]:
        column.justify, column.no_wrap = "right", True
    for row in found:
        result.add_row(row.library, row.attack, row.settings, *_cells(row))
    return result


def _cells(row: Row) -> tuple[str, ...]:
    counts = (f"{row.forwards:.0f}", f"{row.gradients:.0f}", f"{row.seconds:.1f}")
    if row.error is not None:
        return ("-", "-", "-", *("-" for _ in row.robust), *counts, "-", f"raises {row.error}")
    return (
        f"{100 * row.success:.0f}",
        _number(row.mean),
        _number(row.median),
        *(f"{100 * value:.1f}" for value in row.robust),
        *counts,
        _number(row.optimality),
        ", ".join(f"{count} {remark}" for remark, count in row.remarks.items()),
    )


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4g}"
