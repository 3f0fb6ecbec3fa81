"""Gradient steps without a budget until the goal is reached, for comparing losses (Ozbulak et al.)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import eagerpy as ep

from advplug.attack import IterativeAttack, Task
from advplug.hyperparameters import Count, Positive
from advplug.numerics import unit

Equal = Literal["perturbation", "multiplier"]


class State(NamedTuple):
    """``x`` the current point (n, ...)."""

    x: ep.Tensor


@dataclass(frozen=True, kw_only=True)
class GradientSteps(IterativeAttack[State]):
    """``x <- clip(x + a P)`` (eq. 11), where P is minus the gradient of the loss, until the goal is reached.

    No budget bends the way, so that the number of steps and the perturbation at the end speak for the loss alone:
    ``CrossEntropy()``, with ``sign`` CE-sign, ``Logit()``, ``MultiTargetLogit()`` with their targets (eq. 12 to 15).
    Settings are in units of the width of the bounds, 1 in the paper.

    Parameters
    ----------
    steps: number of steps at most.
    equal: what all steps have in common: the ``perturbation``, whose L1 norm is ``mean_change`` times the number of
        values before it is clipped, or the ``multiplier`` of the gradient.
    mean_change: mean change of a value in a step of equal perturbation; 5 / 150528 in the paper, which is little for
        images smaller than 224 x 224.
    multiplier: a of eq. 11 in steps of equal multiplier, as in the paper; for other models than its ResNet-50 it may
        be far too small or too large.
    sign: P is the sign of the gradient.
    stop: a sample is done when it reaches the goal; else it makes all steps, and its nearest success counts.

    A sample whose gradient is zero stays where it is.
    """

    norms = ("l2",)
    minimum_norm = True

    steps: Count = 250
    equal: Equal = "perturbation"
    mean_change: Positive = 1e-3
    multiplier: Positive = 5e-4
    sign: bool = False
    stop: bool = True

    def init(self, task: Task) -> State:
        return State(task.start(random=False))

    def step(self, task: Task, state: State) -> State:
        q = task.query(state.x)
        if self.stop:
            task.finish(q.success)
        return State(task.clip(state.x - self._along(task, q.gradient)))

    def _along(self, task: Task, gradient: ep.Tensor) -> ep.Tensor:
        """What the step takes off the point, (n, ...)."""
        low, high = task.threat.bounds
        width, values = high - low, gradient.flatten(1).shape[1]
        direction = gradient.sign() if self.sign else gradient * width  # the gradient in units of the width
        if self.equal == "perturbation":
            return unit(direction, "l1") * (self.mean_change * values * width)
        return direction * (self.multiplier * width)
