"""Accuracy at smaller budgets, from adversarial examples already found."""

from __future__ import annotations

import torch
from torch import Tensor

from advplug.engine.gateway import Gateway
from advplug.engine.problem import Problem
from advplug.engine.result import AttackResult
from advplug.engine.verification import allowed
from advplug.threat import ThreatModel

_SHARES = 16


def least_lengths(problem: Problem, result: AttackResult, gateway: Gateway) -> Tensor:
    """The least length to which each adversarial can be drawn back and still succeeds, float64 (N,); inf for none.

    Every adversarial is drawn back towards its clean input in sixteenths and judged afresh at each.
    """
    smallest = torch.full_like(result.distance, torch.inf)
    if not _shrinks(problem.threat):
        return smallest
    found = result.success.nonzero().squeeze(1)
    clean, delta = problem.inputs[found], result.adversarials[found] - problem.inputs[found]
    for share in range(_SHARES, 0, -1) if len(found) else ():  # not every model takes an empty batch
        points = (clean + share / _SHARES * delta).clamp(*problem.threat.bounds)
        decision = gateway.decide(points)
        targets = result.target[found] if problem.has_targets else None
        broken = problem.criterion(decision, problem.labels[found], targets)
        broken &= allowed(points, clean, None, problem.region.at(found))
        length = result.distance[found] * share / _SHARES
        smallest[found] = torch.where(broken, length, smallest[found])
    return smallest


def accuracy_within(threat: ThreatModel, correct: Tensor, smallest: Tensor) -> tuple[tuple[float, float], ...]:
    """Upper bound on robust accuracy at each sixteenth of the budget, as pairs (epsilon, accuracy).

    A sample that was ``correct``, bool (N,), counts as broken from the least length in ``smallest``. No new search: a
    real attack at that budget leaves at most this much. Empty for minimum-norm runs, l0 and budgets that differ between
    samples.
    """
    if threat.epsilon is None or not _shrinks(threat):
        return ()
    budgets = [threat.epsilon * share / _SHARES for share in range(_SHARES + 1)]
    standing = [correct & ~(smallest <= budget * (1 + 1e-6)) for budget in budgets]
    return tuple((budget, float(still.double().mean())) for budget, still in zip(budgets, standing, strict=True))


def _shrinks(threat: ThreatModel) -> bool:
    return threat.epsilon is not None and threat.norm != "l0"
