"""The attack of Szegedy et al. (2014, sec. 4.1): box-constrained L-BFGS, all samples in lockstep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import eagerpy as ep

from advplug.attack import Task
from advplug.families import ConstantSearchAttack
from advplug.hyperparameters import Count, Positive
from advplug.losses import LogisticMargin, Loss
from advplug.numerics import per_sample
from advplug_attack_lbfgs._memory import Memory

DECREASE = 1e-4
"""Share of the decrease that the slope promises which a candidate must reach (Armijo)."""
SHORTEST = 1e-3
"""A line search that comes to a smaller step forgets the curvature, and starts again along the gradient."""
SCALE = 0.5
"""The inverse Hessian of the squared distance alone."""


class Descent(NamedTuple):
    """``x`` the candidate to look at next, ``at`` the last accepted point, ``g`` its gradient, ``d`` the direction that
    leads from it to the candidate, all (n, ...); ``value`` of the objective at ``at`` and the step ``t``, both (n,).
    """

    x: ep.Tensor
    at: ep.Tensor
    g: ep.Tensor
    d: ep.Tensor
    value: ep.Tensor
    t: ep.Tensor
    memory: Memory


@dataclass(frozen=True, kw_only=True)
class LBFGS(ConstantSearchAttack[Descent]):
    """Minimise ``||x - x0||_2^2 + c loss`` within the bounds by projected L-BFGS, for the least c that succeeds.

    Each step looks at one candidate per sample: where it decreases the objective enough it is accepted, and the next
    one lies along a new quasi-Newton direction; elsewhere the next one is half as far. Coordinates that press against
    the bounds stand still. Distances are measured in widths of the bounds, so that c means the same for all bounds.

    Parameters
    ----------
    search_steps: constants c tried for each sample.
    steps: candidates for each constant.
    initial_c: first constant.
    memory: curvature pairs that L-BFGS keeps.
    warm_start: start later descents from the best point so far, rather than from the input.
    """

    norms = ("l2",)

    search_steps: Count = 9
    steps: Count = 50
    initial_c: Positive = 0.1
    memory: Count = 5
    warm_start: bool = False

    @property
    def default_loss(self) -> Loss:
        """Between two classes the paper's cross-entropy towards the other class; without targets, towards the nearest.

        Cross-entropy away from the label has no lower bound: its minima lie far behind the boundary.
        """
        return LogisticMargin()

    def start(self, task: Task) -> Descent:
        x = task.best if self.warm_start else task.start(random=False)
        zeros, ones = ep.zeros_like(x), ep.ones_like(x.flatten(1)[:, 0])
        return Descent(x, at=x, g=zeros, d=zeros, value=ep.inf * ones, t=ones, memory=Memory.empty(self.memory, x))

    def descend(self, task: Task, inner: Descent, c: ep.Tensor, step: ep.Tensor) -> tuple[Descent, ep.Tensor]:
        (low, high), x = task.threat.bounds, inner.x
        q = task.query(x)
        r = (x - task.inputs) / (high - low)
        value = r.flatten(1).square().sum(1) + c * q.loss
        g = 2 * r + per_sample(c * (high - low), x) * q.gradient

        moved = (x - inner.at) / (high - low)
        promised = (inner.g * moved).flatten(1).sum(1)
        accepted = value <= inner.value + DECREASE * promised  # infinite before the first candidate
        accept = per_sample(accepted, x)
        memory = inner.memory.seen(moved, g - inner.g, ep.logical_and(accepted, inner.value < ep.inf))
        at, value = ep.where(accept, x, inner.at), ep.where(accepted, value, inner.value)
        g = ep.where(accept, g, inner.g)

        stuck = ep.logical_and(accepted.logical_not(), inner.t < 2 * SHORTEST)
        memory = memory.forgotten(stuck)
        free = ep.logical_not(ep.logical_or(ep.logical_and(at <= low, g > 0), ep.logical_and(at >= high, g < 0)))
        renew = ep.logical_or(accepted, stuck)
        d = ep.where(per_sample(renew, x), -memory.times(g, free, SCALE), inner.d)
        t = ep.where(renew, ep.ones_like(inner.t), inner.t / 2)
        x = task.clip(at + per_sample(t, x) * (high - low) * d)
        return Descent(x, at, g, d, value, t, memory), ep.logical_and(accepted, q.success)

    def objective(self, inner: Descent) -> ep.Tensor | None:
        return inner.value
