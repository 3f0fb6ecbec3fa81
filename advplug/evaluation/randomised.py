"""What a random defense is worth on fresh draws: on average, against the worst of k, and by majority of k."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from advplug.engine.problem import Problem
from advplug.engine.result import AttackResult
from advplug.evaluation.diagnostics.intervals import wilson


def over_draws(problem: Problem, result: AttackResult, draws: int) -> Mapping[str, Any]:
    """Accuracy on the best points found, over ``draws`` fresh draws of the model; empty for one that is not random.

    ``mean`` is the expected accuracy of one draw, ``worst`` the share of samples that are right in every draw, and
    ``majority`` the share that is right in more than half of them; each with its 95 % Wilson interval over the samples,
    ``mean_interval`` and so on. A point that one lucky draw broke counts in ``worst`` alone.
    """
    if not problem.model.stochastic:
        return {}
    points = torch.where(_along(result.success, result.adversarials), result.adversarials, _tried(result))
    with problem.gateway() as gateway:
        x = gateway.cast(points)
        right = [~_broken(problem, decision, result) for decision in (gateway.decide(x) for _ in range(draws))]
    kept = torch.stack(right).double().mean(0) * result.correct
    shares = {
        "mean": float(kept.mean()),
        "worst": float((kept == 1).double().mean()),
        "majority": float((kept > 0.5).double().mean()),
    }
    intervals = {f"{name}_interval": list(wilson(share, len(kept))) for name, share in shares.items()}
    return {"draws": draws, **shares, **intervals}


def _along(flags: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return flags.view(-1, *(1,) * (like.ndim - 1))


def _tried(result: AttackResult) -> torch.Tensor:
    return result.adversarials if result.tried is None else result.tried


def _broken(problem: Problem, decision: Any, result: AttackResult) -> torch.Tensor:
    """Whether each answer is a success, bool (N,)."""
    targets = problem.targets if isinstance(problem.targets, torch.Tensor) else None
    if targets is None and problem.criterion.needs_targets:
        targets = result.target
    return problem.criterion(decision, problem.labels, targets)
