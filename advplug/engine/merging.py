"""What an attack made of some samples, put back among all of them; of a random model the better point of two."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from advplug.engine.problem import Problem
from advplug.engine.result import AttackResult

OF_ONE_ATTACK = ("forwards", "backwards", "unusable_gradients")
"""Names of what is counted for each attack apart."""

_OF_A_POINT = (
    "adversarials", "success", "success_rate", "detected", "lost", "given_up", "distance", "target", "restart",
    "stage", "tried",
)  # fmt: skip


def put_back(problem: Problem, before: AttackResult, after: AttackResult | None, rows: Tensor) -> AttackResult:
    """``before`` with what an attack made ``after`` it of its samples ``rows``, int64 (n,); its passes alone count."""
    merged: dict[str, Any] = {
        **{name: getattr(before, name).clone() for name in _OF_A_POINT if getattr(before, name) is not None},
        **{name: torch.zeros_like(getattr(before, name)) for name in OF_ONE_ATTACK},
        "trace": before.trace[:0],
        "evaluations": torch.zeros_like(before.evaluations[:, :1]),
        "rates": None,
    }
    if after is not None:
        for name in OF_ONE_ATTACK:
            merged[name][rows] = getattr(after, name)
        for name, values in _better(problem.at(rows), before, after, rows).items():
            merged[name][rows] = values
        merged["trace"] = after.trace.new_full((len(after.trace), len(before.success)), torch.nan)
        merged["trace"][:, rows] = after.trace
        merged["evaluations"] = after.evaluations[:1].expand(len(before.success), -1, -1).clone()
    return replace(before, **merged)


def _better(problem: Problem, before: AttackResult, after: AttackResult, rows: Tensor) -> dict[str, Tensor]:
    """What belongs to the better point of each of ``rows``: that of ``after``, unless the model is random.

    Then it is the one that broke more draws. It is judged afresh, because the better of two estimates is too good by
    chance; where the points of all samples together break no more draws than those of ``before``, these stay.
    """
    new = {name: getattr(after, name) for name in _OF_A_POINT if getattr(after, name) is not None}
    if before.tried is None or after.tried is None:
        return new
    old = {name: getattr(before, name)[rows] for name in _OF_A_POINT}
    better = new["success_rate"] > old["success_rate"]
    best = {name: torch.where(better.view(-1, *(1,) * (new[name].ndim - 1)), new[name], old[name]) for name in new}
    if not bool(better.any()):
        return old
    rate = _afresh(problem, best)
    if float(rate.double().sum()) <= float(old["success_rate"].double().sum()):
        return old
    held = best["success"] & (rate > 0.5)
    whole: dict[str, Any] = {"adversarials": problem.inputs, "distance": torch.nan, "target": -1, "restart": -1}
    for name, value in whole.items():
        best[name] = torch.where(held.view(-1, *(1,) * (best[name].ndim - 1)), best[name], value)
    return {**best, "success_rate": rate, "success": held}


def _afresh(problem: Problem, best: dict[str, Tensor]) -> Tensor:
    """The share of fresh draws that each of the best points breaks, float32 (n,)."""
    targets = problem.targets if isinstance(problem.targets, Tensor) else best["target"]
    judged = best["success_rate"] > 0
    if problem.criterion.needs_targets:
        judged &= targets >= 0  # what aimed nowhere stays as it was judged
    rows = judged.nonzero().squeeze(1)
    rate = best["success_rate"].clone()
    if len(rows):
        with problem.gateway() as gateway:
            rate[rows] = gateway.success_rate(
                gateway.cast(best["tried"][rows]),
                problem.criterion,
                labels=problem.labels[rows],
                targets=targets[rows] if problem.has_targets else None,
                draws=problem.options.draws,
            )
    return rate


def changed(before: AttackResult, found: AttackResult) -> Tensor:
    """Which successes are not those of ``before``, bool (N,)."""
    if before.tried is None or found.tried is None:
        return found.success & ~before.success
    return found.success & (before.tried != found.tried).flatten(1).any(1)
