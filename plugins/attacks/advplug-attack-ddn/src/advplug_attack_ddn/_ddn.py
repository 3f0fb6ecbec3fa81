"""Decoupled direction and norm (Rony et al. 2019, algorithm 1)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import eagerpy as ep

from advplug.attack import IterativeAttack, Task
from advplug.hyperparameters import AtLeast, Count, Fraction, Positive
from advplug.numerics import on_grid, per_sample, raw, size, unit, wrap


class State(NamedTuple):
    """``x`` the current point (n, ...); ``radius`` the norm epsilon it was scaled to, ``farthest`` its limit, (n,)."""

    x: ep.Tensor
    radius: ep.Tensor
    farthest: ep.Tensor


@dataclass(frozen=True, kw_only=True)
class DDN(IterativeAttack[State]):
    """Smallest L2 perturbation: gradient steps of fixed length, on a sphere that shrinks or grows after each.

    Lengths are in units of the width of the bounds, 1 in the paper.

    Parameters
    ----------
    steps: number of gradient steps; 100, 300 and 1000 in the paper.
    radius: the first radius epsilon_0.
    gamma: by which share the radius shrinks where a point is adversarial, and grows where it is not.
    step_size: length alpha of the first step; falls to ``final_step_size`` along a cosine.
    final_step_size: length of the last step.
    levels: round every point to so many evenly spaced values, for 8-bit images 256 as in the paper; None does not
        round, since inputs need not be images.
    """

    norms = ("l2",)
    minimum_norm = True
    begins_at_inputs = True

    steps: Count = 300
    radius: Positive = 1.0
    gamma: Fraction = 0.05
    step_size: Positive = 1.0
    final_step_size: Positive = 0.01
    levels: Annotated[int, AtLeast(2)] | None = None

    def init(self, task: Task) -> State:
        low, high = task.threat.bounds
        farthest = size(ep.maximum(task.inputs - low, high - task.inputs), "l2")
        return State(task.inputs, ep.full_like(farthest, self.radius * (high - low)), farthest)

    def step(self, task: Task, state: State) -> State:
        q = task.query(state.x)
        direction = instead_of_zero(unit(q.gradient), task)
        delta = state.x - task.inputs - self._length(task) * direction
        radius = state.radius * ep.where(q.success, 1 - self.gamma, 1 + self.gamma)
        radius = ep.minimum(radius, state.farthest)  # a longer perturbation does not fit the box
        x = on_grid(task.inputs + per_sample(radius, delta) * unit(delta), task.threat.bounds, self.levels)
        return State(task.clip(x), radius, state.farthest)

    def _length(self, task: Task) -> float:
        """The step size of this step."""
        low, high = task.threat.bounds
        cosine = (1 + math.cos(math.pi * task.t / self.steps)) / 2
        return (high - low) * (self.final_step_size + (self.step_size - self.final_step_size) * cosine)


def instead_of_zero(direction: ep.Tensor, task: Task) -> ep.Tensor:
    """Directions (n, ...) of length 1, random ones for the samples whose gradient is zero and has none."""
    has_one = size(direction, "l2") > 0
    if raw(direction).device.type == "cpu" and bool(raw(has_one).all()):
        return direction  # to draw takes longer than to look, except on a device that looking waits for
    random = wrap(task.noise.normal(task.t, task.inputs.shape[1:])[0]).astype(direction.dtype)
    return ep.where(per_sample(has_one, direction), direction, unit(random))
