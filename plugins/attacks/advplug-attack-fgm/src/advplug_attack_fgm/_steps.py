"""Gradient steps without a budget until the goal is reached, for comparing losses (Ozbulak et al.)."""

from __future__ import annotations

import math
from typing import ClassVar, Literal, NamedTuple, get_args

import eagerpy as ep

from advplug.attack import IterativeAttack, Task
from advplug.errors import InvalidInput
from advplug.numerics import raw, unit

Equal = Literal["perturbation", "multiplier"]


class State(NamedTuple):
    """``x`` the current point (n, ...)."""

    x: ep.Tensor


class GradientSteps(IterativeAttack[State]):
    """``x <- clip(x + a P)`` (eq. 11), where P is minus the gradient of the loss, until the goal is reached.

    No budget bends the way, so that the number of steps and the perturbation at the end speak for the loss alone:
    ``CrossEntropy()``, with ``sign`` CE-sign, ``Logit()``, ``MultiTargetLogit()`` with their targets (eq. 12 to 15).
    Settings are in units of the width of the bounds, 1 in the paper.

    Parameters
    ----------
    steps: number of steps at most.
    equal: what all steps have in common: the ``perturbation``, whose L1 norm is ``beta`` times the number of values
        before it is clipped, or the ``multiplier`` ``alpha`` of the gradient.
    beta: mean change of a value in a step; 5 / 150528 in the paper, which is little for images smaller than 224 x 224.
    alpha: as in the paper; for other models than its ResNet-50 it may be far too small or too large.
    sign: P is the sign of the gradient.
    stop: a sample is done when it reaches the goal; else it makes all steps, and its nearest success counts.

    A sample whose gradient is zero stays where it is.
    """

    norms: ClassVar[tuple[str, ...]] = ("l2",)
    minimum_norm: ClassVar[bool] = True

    def __init__(
        self,
        *,
        steps: int = 250,
        equal: Equal = "perturbation",
        beta: float = 1e-3,
        alpha: float = 5e-4,
        sign: bool = False,
        stop: bool = True,
    ) -> None:
        if steps < 1:
            raise InvalidInput(f"steps is {steps}: give at least 1")
        if equal not in get_args(Equal):
            raise InvalidInput(f"equal {equal!r}: choose one of {', '.join(get_args(Equal))}")
        if not (0 < beta < math.inf and 0 < alpha < math.inf):
            raise InvalidInput(f"beta {beta}, alpha {alpha}: give positive numbers")
        self.steps = steps
        self.equal = equal
        self.beta = beta
        self.alpha = alpha
        self.sign = sign
        self.stop = stop

    def init(self, task: Task) -> State:
        return State(task.start(random=False))

    def step(self, task: Task, state: State) -> State:
        q = task.query(state.x)
        assert q.gradient is not None
        if self.stop:
            task.finish(q.success)
        return State(task.clip(state.x - self._along(task, q.gradient)))

    def _along(self, task: Task, gradient: ep.Tensor) -> ep.Tensor:
        """What the step takes off the point, (n, ...)."""
        low, high = task.threat.bounds
        width, values = high - low, raw(gradient)[0].numel()
        direction = gradient.sign() if self.sign else gradient * width  # the gradient in units of the width
        if self.equal == "perturbation":
            return unit(direction, "l1") * (self.beta * values * width)
        return direction * (self.alpha * width)
