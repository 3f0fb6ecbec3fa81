"""SuperDeepFool, SDF(inf, 1) (Abdollahpoor et al. 2024, algorithm 1)."""

from __future__ import annotations

from dataclasses import dataclass

import eagerpy as ep

from advplug.attack import IterativeAttack, Point, Task
from advplug.hyperparameters import Count, NonNegative
from advplug.losses import ClassGaps, Loss
from advplug.numerics import Boundary, per_sample, raw, size, unit, wrap

EXTRA = 1e-5
"""Added to the length of each step of DeepFool, in widths of the bounds: else steps may shrink to nothing before the
boundary."""


@dataclass(frozen=True, kw_only=True)
class SuperDeepFool(IterativeAttack[Point]):
    """DeepFool under L2 until the class changes, then back to where the way from the input is normal to the boundary.

    The nearest point of a smooth boundary is the foot of a perpendicular from the input. DeepFool ends elsewhere, for
    the steps of its way differ in direction. From each adversarial point this attack goes to the point of the boundary,
    taken as a hyperplane, that is nearest to the input, and on from there until its steps are used up. The paper ends
    at the first of these points that is adversarial, with a bisection of the way to the input.

    Parameters
    ----------
    steps: number of steps in all, those of DeepFool and those back.
    overshoot: share by which a step of DeepFool goes beyond the boundary.
    """

    norms = ("l2",)
    minimum_norm = True

    steps: Count = 50
    overshoot: NonNegative = 0.02

    @property
    def default_loss(self) -> Loss:
        """The gaps to the nine likeliest other classes."""
        return ClassGaps()

    def init(self, task: Task) -> Point:
        return Point(task.start(random=False))

    def step(self, task: Task, state: Point) -> Point:
        x = state.x
        q = task.query(x)
        forward = self._deepfool_step(task, Boundary.nearest(x, q.loss, q.gradient, "l2"))
        back = task.inputs + along(crossed(q.gradient, q.loss), x - task.inputs)
        return Point(task.clip(ep.where(per_sample(q.success, x), back, x + forward)))

    def _deepfool_step(self, task: Task, boundary: Boundary) -> ep.Tensor:
        """The step (n, ...) to the linearised boundary, and a little beyond."""
        length = boundary.gap.abs() / ep.maximum(size(boundary.w, "l2"), 1e-12)
        length = (1 + self.overshoot) * (length + EXTRA * (task.threat.bounds[1] - task.threat.bounds[0]))
        return -per_sample(length, boundary.w) * unit(boundary.w)


def crossed(gradient: ep.Tensor, loss: ep.Tensor) -> ep.Tensor:
    """The gradient (n, ...) of the least of the losses (n,) or (n, M): of the boundary that was crossed."""
    if loss.ndim == 1:
        return gradient
    return wrap(raw(gradient)[range(len(loss)), raw(loss).argmin(1)])


def along(w: ep.Tensor, delta: ep.Tensor) -> ep.Tensor:
    """The part of ``delta`` in the direction of ``w``, ``(<delta, w> / ||w||^2) w``; all (n, ...)."""
    inner, square = (delta * w).flatten(1).sum(1), w.square().flatten(1).sum(1)
    return per_sample(inner / ep.maximum(square, 1e-30), w) * w
