"""SLIDE, the sparse L1 descent attack (Tramer and Boneh 2019, algorithm 1)."""

from __future__ import annotations

from dataclasses import dataclass

import eagerpy as ep
import torch

from advplug.attack import IterativeAttack, Point, Task
from advplug.hyperparameters import Count, Decay, Positive
from advplug.numerics import per_sample, raw, wrap


@dataclass(frozen=True, kw_only=True)
class SLIDE(IterativeAttack[Point]):
    """Projected gradient descent under L1: each step spreads its length evenly over the largest gradients.

    The steepest step under L1 moves one value, which takes too many steps; a step along the gradient moves all values,
    most of them in vain.

    Parameters
    ----------
    steps: number of gradient steps; 20 in the authors' code.
    step_size: L1 length of a step, as a share of the budget; 0.1 in the authors' code.
    quantile: share q of the values that a step does not move, those of the smallest gradients.
    skip_full: count values that already lie at the bound that the step pushes them against as of no gradient.
    random_start: start from a random point of the ball rather than from the input.
    """

    norms = ("l1",)

    steps: Count = 100
    step_size: Positive = 0.1
    quantile: Decay = 0.99
    skip_full: bool = True
    random_start: bool = False

    def init(self, task: Task) -> Point:
        return Point(task.start(self.random_start))

    def step(self, task: Task, state: Point) -> Point:
        x = state.x
        g = task.gradient(x)
        if self.skip_full:
            full = ep.where(g > 0, x <= task.lower, x >= task.upper)
            g = ep.where(full, ep.zeros_like(g), g)
        length = per_sample(self.step_size * task.epsilon, x)
        return Point(task.project(x - length * sign_of_largest(g, 1 - self.quantile)))


def sign_of_largest(g: ep.Tensor, share: float) -> ep.Tensor:
    """The sign of the ``share`` largest values of each sample of (n, ...), one at least; zero elsewhere; L1 norm 1."""
    flat = raw(g).flatten(1)
    count = max(1, round(share * flat.shape[1]))
    chosen = flat.abs().topk(count, dim=1).indices
    sign = torch.zeros_like(flat).scatter(1, chosen, flat.gather(1, chosen).sign())
    return wrap((sign / sign.abs().sum(1, keepdim=True).clamp(min=1)).view_as(raw(g)))
