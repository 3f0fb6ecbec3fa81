"""SPSA (Uesato et al. 2018, algorithm 1) and NES (Ilyas et al. 2018, algorithm 1)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import eagerpy as ep
import torch
from torch import Tensor

from advplug.attack import IterativeAttack, Task
from advplug.hyperparameters import Count, Positive
from advplug.losses import Loss, Margin
from advplug.numerics import Adam, raw, wrap

PAIRS = 16
"""Pairs whose points are held in memory at once."""


class State(NamedTuple):
    """``x`` the current point (n, ...), and the moments of Adam."""

    x: ep.Tensor
    adam: Adam


@dataclass(frozen=True, kw_only=True)
class SPSA(IterativeAttack[State]):
    """Adam on a gradient estimated from pairs of scores, ``(L(x + delta v) - L(x - delta v)) / (2 delta) v``.

    With ``gaussian`` directions this is the gradient of NES. NES itself takes signs of it as PGD does: that is
    ``pgd`` with the gradient estimator ``FiniteDifference``.

    Parameters
    ----------
    steps: gradient steps.
    draws: pairs for each gradient: a step takes two queries for each, and one that judges its point.
    delta: how far from the point the pairs are, as a share of the range of valid values.
    step_size: the step size of Adam, as a share of that range.
    directions: ``rademacher``, each value +1 or -1 (SPSA), or ``gaussian`` (NES).
    """

    norms = ("linf", "l2")

    steps: Count = 100
    draws: Count = 64
    delta: Positive = 0.01
    step_size: Positive = 0.01
    directions: Literal["rademacher", "gaussian"] = "rademacher"

    @property
    def default_loss(self) -> Loss:
        """The margin, as in the paper."""
        return Margin()

    def init(self, task: Task) -> State:
        x = task.start(random=False)
        return State(x, Adam.like(x))

    def step(self, task: Task, state: State) -> State:
        task.evaluate(state.x)
        adam = state.adam.seen(self.gradient(task, state.x))
        m, v = adam.scaled(task.t + 1)
        return State(task.project(state.x - self.step_size * width(task) * m / v), adam)

    def gradient(self, task: Task, x: ep.Tensor) -> ep.Tensor:
        """The mean over the pairs, (n, ...), of the loss as a function of shares of the range."""
        delta, total = self.delta * width(task), torch.zeros_like(raw(x))
        for first in range(0, self.draws, PAIRS):
            v = self.drawn(task, first, min(PAIRS, self.draws - first))
            both = raw(x) + delta * torch.cat((v, -v))
            both = both.clamp(*task.threat.bounds)  # outside, a model may answer anything
            above, below = raw(task.losses(partial(part, both), len(both))).chunk(2)
            total += torch.einsum("dn,dn...->n...", (above - below).to(v), v)
        return wrap(total / (2 * self.delta * self.draws))

    def drawn(self, task: Task, first: int, count: int) -> Tensor:
        """Directions number ``first`` and following, (count, n, ...)."""
        v = task.noise.normal(task.t, tuple(task.inputs.shape[1:]), count, first).to(raw(task.inputs))
        return v if self.directions == "gaussian" else torch.where(v < 0, -1.0, 1.0).to(v)


def part(points: Tensor, first: int, many: int) -> ep.Tensor:
    """``many`` of the ``points`` (m, n, ...) from number ``first`` on."""
    return wrap(points[first : first + many])


def width(task: Task) -> float:
    """The length of the range of valid values."""
    return task.threat.bounds[1] - task.threat.bounds[0]
