"""The least norm from an attack that needs a budget: for each sample the smallest budget within which it succeeds."""

from __future__ import annotations

import torch
from torch import Tensor

from advplug.engine.problem import Problem
from advplug.numerics.tensors import norms

ROUNDS = 10
"""Budgets that are tried for each sample, at most."""

FIRST = 1 / 16
"""The first budget, as a share of the longest way that the bounds allow."""

FACTOR = 4.0
"""How fast the budget grows until the attack succeeds, or shrinks until it fails."""

CLOSE = 0.01
"""Two budgets that differ by this share are not told apart."""


class Budgets:
    """The budget that comes next for each sample, float64 (N,).

    It grows until the attack succeeds and shrinks until it fails, then lies halfway between the largest that failed and
    the nearest point that was found, which may be nearer than its budget.
    """

    def __init__(self, problem: Problem) -> None:
        low, high = problem.region.limits(problem.inputs, None, torch.float64)
        x = problem.inputs.double()
        self.whole = problem.threat.norm == "l0"
        self.most = norms(torch.maximum(x - low, high - x), problem.threat.norm)
        self.failed, self.found = torch.zeros_like(self.most), torch.full_like(self.most, torch.inf)

    @property
    def next(self) -> Tensor:
        """Halfway, or further by :data:`FACTOR`; whole numbers under L0."""
        unfound, unfailed = self.found.isinf(), self.failed == 0
        grown = torch.where(unfailed, FIRST * self.most, FACTOR * self.failed).minimum(self.most)
        between = torch.where(unfailed, self.found / FACTOR, (self.failed + self.found) / 2)
        budget = torch.where(unfound, grown, between)
        return budget.floor().clamp(min=1) if self.whole else budget

    @property
    def open(self) -> Tensor:
        """The samples for which another budget may tell more, bool (N,)."""
        apart = self.found - self.failed > (1 if self.whole else CLOSE * self.found)
        return torch.where(self.found.isinf(), self.failed < self.most, apart)

    def learn(self, tried: Tensor, budget: Tensor, distance: Tensor) -> None:
        """What the samples ``tried``, bool (N,), gave within ``budget``: ``distance`` of their best point, or NaN."""
        nearer = tried & (distance < self.found)
        self.found = torch.where(nearer, distance, self.found)
        self.failed = torch.where(tried & ~nearer, budget, self.failed)
