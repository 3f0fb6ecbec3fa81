"""sigma-zero (Cina et al. 2024, algorithm 1)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import eagerpy as ep

from advplug.attack import IterativeAttack, Task
from advplug.hyperparameters import Count, Positive, PositiveShare, Share
from advplug.losses import Loss, Margin
from advplug.numerics import Adam, unit
from advplug_attack_sparse._units import SparseAttack, width


class State(NamedTuple):
    """``x`` the current point (n, ...), ``tau`` (n,) below which a change is undone, ``adam`` averages of gradients."""

    x: ep.Tensor
    tau: ep.Tensor
    adam: Adam


@dataclass(frozen=True, kw_only=True)
class SigmaZero(SparseAttack, IterativeAttack[State]):
    """Fewest changed values: descent in the margin and a smooth L0 norm; changes below a threshold are undone.

    The threshold rises after a success and falls after a failure. Lengths are in widths of the bounds.

    Parameters
    ----------
    steps: gradient steps.
    step_size: eta, length of the largest change in the first step; it falls along a cosine.
    final_step_size: the last step size, as a share of the first.
    sigma: the smooth norm counts a change d as ``d^2 / (d^2 + sigma)``.
    threshold: tau, below which changes are undone at first.
    pace: t, by which the threshold moves, times the step size.
    adam: step along Adam's average of the scaled gradients, as in the authors' code, or along the gradient itself, as
        in the algorithm box.
    """

    norms = ("l0",)
    minimum_norm = True

    steps: Count = 1000
    step_size: Positive = 1.0
    final_step_size: Share = 0.1
    sigma: Positive = 1e-3
    threshold: PositiveShare = 0.3
    pace: Positive = 0.01
    adam: bool = True

    @property
    def default_loss(self) -> Loss:
        """The margin, flat beyond the boundary."""
        return Margin(0.0)

    def init(self, task: Task) -> State:
        self.check_channels(task)
        x = task.start(random=False)
        return State(x, ep.full_like(x.flatten(1)[:, 0], self.threshold), Adam.like(x))

    def step(self, task: Task, state: State) -> State:
        q = task.query(state.x)
        delta = (state.x - task.inputs) / width(task)
        gradient = unit(width(task) * q.gradient + self.slope(delta), "linf")
        eta = self.step_size * falling(task.t / self.steps, self.final_step_size)
        adam = state.adam.seen(gradient)
        m, v = adam.scaled(task.t + 1)
        x = task.clip(state.x - eta * width(task) * (m / v if self.adam else gradient))
        tau = (state.tau + ep.where(q.success, self.pace * eta, -self.pace * eta)).clip(0, 1)
        return State(self.thinned(task, x, tau), tau, adam)

    def slope(self, delta: ep.Tensor) -> ep.Tensor:
        """Gradient of the smooth norm, the mean of ``s / (s + sigma)`` over units of squared change s, (n, ...)."""
        squared = self.sums(delta.square())
        return 2 * self.sigma * delta / (squared.shape[1] * self.spread((squared + self.sigma).square(), delta))

    def thinned(self, task: Task, x: ep.Tensor, tau: ep.Tensor) -> ep.Tensor:
        """``x`` without the changes whose Euclidean length is below ``tau`` (n,)."""
        delta = (x - task.inputs) / width(task)
        large = self.sums(delta.square()) >= tau.square().expand_dims(1)
        return ep.where(self.spread(large, x), x, task.inputs)


def falling(share: float, last: float) -> float:
    """From 1 to ``last`` along a cosine, at ``share`` of the way."""
    return last + (1 - last) * (1 + math.cos(math.pi * share)) / 2
