"""The trust-region attack (Yao et al. 2019, algorithm 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import eagerpy as ep

from advplug.attack import GradientQuery, IterativeAttack, Task
from advplug.errors import InvalidInput
from advplug.hyperparameters import AtLeast, Count, Natural, NonNegative, Positive
from advplug.losses import ClassGaps, Loss, Margin
from advplug.numerics import per_sample, raw, size, unit, wrap
from advplug.search_space import Space, space_of

DUAL = {"l2": "l2", "linf": "l1"}
LARGEST_RADIUS = {"l2": 0.05, "linf": 0.01}
LEAST_RADIUS = {"l2": 0.0005, "linf": 0.0001}
"""The authors' limits of the radius, in widths of the bounds."""

BEYOND = 1e-4
"""Added to each step, in widths of the bounds: else the steps may shrink to nothing before the boundary."""


class State(NamedTuple):
    """``x`` the current point (n, ...), ``radius`` of the trust region, ``target`` the class to reach, int64; (n,).

    ``loss`` and ``promised`` are the loss of the point before and its decrease in the linear model, (n,).
    """

    x: ep.Tensor
    radius: ep.Tensor
    target: ep.Tensor
    loss: ep.Tensor
    promised: ep.Tensor


@dataclass(frozen=True, kw_only=True)
class TrustRegion(IterativeAttack[State]):
    """Steps to the linearised boundary of one class, never longer than the radius in which linear models hold.

    The radius grows after a step that lowered the loss as far as the linear model said, and shrinks after one that did
    not. The first adversarial point of a sample ends its search. A loss must be zero on the boundary.

    Parameters
    ----------
    steps: the most steps that a sample takes; 5000 in the authors' code.
    classes: the class to reach is that of so many likeliest other classes whose linearised boundary is nearest to the
        input; 0 goes for the likeliest other class of each point.
    radius: the first radius, in widths of the bounds like all lengths.
    largest_radius: None for 0.05 under l2 and 0.01 under linf, the authors' limits.
    growth: factor of the radius after a good step, and its inverse after a bad one.
    good: share of the promised decrease above which a step is good.
    bad: share below which it is bad.
    overshoot: share by which a step goes beyond.
    """

    norms = ("l2", "linf")
    minimum_norm = True

    steps: Count = 500
    classes: Natural = 9
    radius: Positive = 0.001
    largest_radius: Positive | None = None
    growth: Annotated[float, AtLeast(1)] = 1.2
    good: Positive = 0.9
    bad: Positive = 0.5
    overshoot: NonNegative = 0.02

    @classmethod
    def search_space(cls) -> Space:
        """The shares of good and bad steps stay where they are: one bounds the other."""
        return {name: tried for name, tried in space_of(cls).items() if name not in ("good", "bad")}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bad > self.good:
            raise InvalidInput(f"bad is {self.bad}, good {self.good}: give bad <= good")

    @property
    def default_loss(self) -> Loss:
        """The difference of logits to the class to reach."""
        return Margin()

    def init(self, task: Task) -> State:
        x = task.start(random=False)
        zeros = ep.zeros_like(x.flatten(1)[:, 0])
        return State(x, zeros + self.radius, self._nearest_class(task, x), loss=zeros, promised=zeros)

    def step(self, task: Task, state: State) -> State:
        norm, width = task.threat.norm, task.threat.bounds[1] - task.threat.bounds[0]
        chosen = self.classes > 0 and task.targets is None
        q = task.query(state.x, targets=state.target if chosen else None)
        task.finish(q.success)
        radius = self._next_radius(state, q, norm) if task.t > 0 else state.radius

        reach = q.loss.abs() / ep.maximum(size(q.gradient, DUAL[norm]), 1e-12)  # to the linearised boundary
        length = (1 + self.overshoot) * (ep.minimum(reach, width * radius) + BEYOND * width)
        x = task.clip(state.x - per_sample(length, state.x) * steepest(q.gradient, norm))
        promised = (q.gradient * (state.x - x)).flatten(1).sum(1)
        return State(x, radius, state.target, q.loss, promised)

    def _next_radius(self, state: State, q: GradientQuery, norm: str) -> ep.Tensor:
        """The radius (n,) after the step to the present point."""
        kept = (state.loss - q.loss) / ep.maximum(state.promised, 1e-30)
        factor = ep.where(kept > self.good, self.growth, ep.where(kept < self.bad, 1 / self.growth, 1.0))
        largest = LARGEST_RADIUS[norm] if self.largest_radius is None else self.largest_radius
        return (state.radius * factor).clip(min(LEAST_RADIUS[norm], largest), largest)

    def _nearest_class(self, task: Task, x: ep.Tensor) -> ep.Tensor:
        """The class to reach, int64 (n,): that of the nearest linearised boundary."""
        if self.classes == 0 or task.targets is not None:
            return task.labels
        gaps = ClassGaps(self.classes)
        q = task.query(x, loss=gaps)
        slopes = raw(q.gradient).flatten(2).norm(1 if DUAL[task.threat.norm] == "l1" else 2, dim=2)
        nearest = (raw(q.loss).clamp(min=0) / slopes.clamp(min=1e-12)).argmin(1, keepdim=True)
        return wrap(raw(gaps.classes(q.logits, task.labels)).gather(1, nearest).squeeze(1))


def steepest(gradient: ep.Tensor, norm: str) -> ep.Tensor:
    """The direction (n, ...) of length 1 in ``norm`` along which the loss rises fastest."""
    return gradient.sign() if norm == "linf" else unit(gradient)
