"""Accuracy at smaller budgets, from adversarial examples already found."""

from __future__ import annotations

import torch

from advplug.engine.gateway import Gateway
from advplug.engine.problem import Problem
from advplug.engine.result import AttackResult
from advplug.engine.verification import allowed

_SHARES = 16


def shrink(problem: Problem, result: AttackResult, gateway: Gateway) -> tuple[tuple[float, float], ...]:
    """Upper bound on robust accuracy at each sixteenth of the budget, as pairs (epsilon, accuracy).

    Every adversarial is drawn back towards its clean input and judged afresh at each length; a sample counts as
    broken from the smallest length at which it is still adversarial. No new search: a real attack at that budget
    leaves at most this much. Empty for minimum-norm runs, l0 and budgets that differ between samples.
    """
    epsilon = problem.threat.epsilon
    if epsilon is None or problem.threat.norm == "l0":
        return ()
    found = result.success.nonzero().squeeze(1)
    smallest = torch.full_like(result.distance, torch.inf)
    clean, delta = problem.inputs[found], result.adversarials[found] - problem.inputs[found]
    for share in range(_SHARES, 0, -1):
        points = (clean + share / _SHARES * delta).clamp(*problem.threat.bounds)
        decision = gateway.decide(points)
        targets = result.target[found] if problem.threat.targeted else None
        broken = problem.criterion(decision, problem.labels[found], targets)
        broken &= allowed(points, clean, None, problem.region.at(found))
        length = result.distance[found] * share / _SHARES
        smallest[found] = torch.where(broken, length, smallest[found])
    budgets = [epsilon * share / _SHARES for share in range(_SHARES + 1)]
    standing = [result.correct & ~(smallest <= budget * (1 + 1e-6)) for budget in budgets]
    return tuple((budget, float(still.double().mean())) for budget, still in zip(budgets, standing, strict=True))
