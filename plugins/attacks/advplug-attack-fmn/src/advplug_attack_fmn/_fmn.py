"""The fast minimum-norm attack (Pintor et al. 2021, algorithm 1)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import eagerpy as ep

from advplug.attack import GradientQuery, IterativeAttack, Query, Task
from advplug.errors import InvalidInput
from advplug.hyperparameters import Count, Fraction, Natural, Positive
from advplug.losses import Loss, Margin
from advplug.numerics import size, unit
from advplug_attack_fmn._geometry import DUAL, TINY, farthest, project, walked_back, whole_numbers

STEP_SIZES = {"linf": (10.0,), "l2": (10.0,), "l1": (10.0, 1.0), "l0": (100.0,)}
"""Of each search. Under l0 it costs nothing how far a value moves; under l1 long and short steps end elsewhere."""


class State(NamedTuple):
    """``x`` the current point (n, ...); all else (n,).

    ``radius`` is the norm epsilon that it was projected to, ``least`` the smallest norm of an adversarial point so far
    (infinite before the first), ``farthest`` the largest norm that fits the bounds. ``failed`` bool: a point after the
    first adversarial one was none.
    """

    x: ep.Tensor
    radius: ep.Tensor
    least: ep.Tensor
    farthest: ep.Tensor
    failed: ep.Tensor


@dataclass(frozen=True, kw_only=True)
class FMN(IterativeAttack[State]):
    """Smallest perturbation under Linf, L2, L1 or L0: gradient steps, each projected to a ball of adaptive radius.

    Until the first success the radius is the estimated distance of the boundary. From then on it shrinks after a
    success and grows after a failure. Both step sizes fall along a cosine.

    Under l1 the estimate would lead along the few values of the greatest slope. So the radius has no limit until the
    first success, and halves from there until the next failure.

    Parameters
    ----------
    steps: number of gradient steps.
    step_size: Euclidean length alpha of the first step, in units of the width of the bounds; 1 in the authors' code.
        None for 10, and for 100 under l0, which came closer on the digits that ship with advplug; under l1 for two
        searches of half the steps each, one that begins with 10 and one with 1.
    final_step_size: length of the last step.
    gamma: by which share the radius shrinks or grows in the first step; under l0 by one value at least.
    final_gamma: that of the last step.
    bisections: halvings of the way between the input and a given starting point.
    """

    minimum_norm = True
    begins_at_inputs = True

    steps: Count = 500
    step_size: Positive | None = None
    final_step_size: Positive = 0.01
    gamma: Fraction = 0.05
    final_gamma: Fraction = 0.001
    bisections: Natural = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.final_gamma > self.gamma:
            raise InvalidInput(f"gamma is {self.gamma}, final_gamma {self.final_gamma}: give final_gamma <= gamma")

    @property
    def default_loss(self) -> Loss:
        """The difference of logits: it changes its sign at the boundary."""
        return Margin()

    def init(self, task: Task) -> State:
        given, limit = task.starting_points, farthest(task)
        x = task.inputs if given is None else walked_back(given, self.bisections, task)
        none = ep.full_like(limit, math.inf)
        radius = ep.maximum(size(x - task.inputs, "l0"), 1) if task.threat.norm == "l0" else none
        return State(x, radius, none, limit, limit < 0)

    def step(self, task: Task, state: State) -> State:
        step_size, progress = self._search(task)
        if task.t and progress == 0:  # the next search
            state = self.init(task)
        q = task.query(state.x)
        norm = size(state.x - task.inputs, task.threat.norm)
        least = ep.where(q.success, ep.minimum(norm, state.least), state.least)
        failed = ep.logical_or(state.failed, ep.logical_and(state.least < math.inf, q.success.logical_not()))
        gamma = falling(self.gamma, self.final_gamma, progress)
        if task.threat.norm == "l0":
            radius = self._count(q, state.radius, least, gamma)
        else:
            grown = ep.where(least < math.inf, state.radius * (1 + gamma), self._reach(task, q, norm, gamma))
            shrunk = ep.minimum(state.radius * (1 - gamma), least)
            if task.threat.norm == "l1":
                shrunk = ep.where(failed, shrunk, least / 2)
            radius = ep.where(q.success, shrunk, grown)
        radius = ep.minimum(radius, state.farthest)
        low, high = task.threat.bounds
        length = (high - low) * falling(step_size, self.final_step_size, progress)
        x = project(state.x - length * unit(q.gradient), radius, task)
        return State(x, radius, least, state.farthest, failed)

    def _search(self, task: Task) -> tuple[float, float]:
        """The first step size of the search that this step belongs to, and which share of its steps is done."""
        sizes = STEP_SIZES[task.threat.norm] if self.step_size is None else (self.step_size,)
        number = task.t * len(sizes) // self.steps
        first, last = (-(-part * self.steps // len(sizes)) for part in (number, number + 1))
        return sizes[number], (task.t - first) / (last - first)

    def _reach(self, task: Task, q: GradientQuery, norm: ep.Tensor, gamma: float) -> ep.Tensor:
        """The radius before the first success, (n,): to the boundary, if the loss were linear."""
        if task.threat.norm == "l1":
            return ep.full_like(norm, math.inf)
        gap = q.loss.abs() / ep.maximum(size(q.gradient, DUAL[task.threat.norm]), TINY)
        return norm + ep.maximum(gap, gamma * norm)  # it knows no bounds and would creep up to the boundary for ever

    def _count(self, q: Query, count: ep.Tensor, least: ep.Tensor, gamma: float) -> ep.Tensor:
        """The radius under l0: one value more or fewer at least, and never none."""
        fewer = ep.minimum(ep.minimum(count - 1, whole_numbers(count * (1 - gamma))), least)
        more = ep.maximum(count + 1, whole_numbers(count * (1 + gamma)))
        return ep.maximum(ep.where(q.success, fewer, more), 1)


def falling(first: float, last: float, progress: float) -> float:
    """From ``first`` to ``last`` along a cosine."""
    return last + (first - last) * (1 + math.cos(math.pi * progress)) / 2
