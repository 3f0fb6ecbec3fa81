"""The elastic-net attack (Chen, Sharma et al. 2018: objective eq. 7, algorithm 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import eagerpy as ep
from torch import Tensor

from advplug.attack import Task
from advplug.criteria import Confident, Criterion
from advplug.families import ConstantSearchAttack
from advplug.hyperparameters import Count, NonNegative, Positive
from advplug.losses import Loss, Margin
from advplug.numerics import norms, per_sample

Rule = Literal["l1", "en"]
Solver = Literal["fista", "ista"]
Threshold = Literal["beta", "proximal"]
Judged = Literal["x", "y"]


class Descent(NamedTuple):
    """``x`` the iterate, ``y`` where the gradient is taken (n, ...); ``value`` (n,) of the last objective."""

    x: ep.Tensor
    y: ep.Tensor
    value: ep.Tensor


@dataclass(frozen=True, kw_only=True)
class EAD(ConstantSearchAttack[Descent]):
    """Minimise ``c f(x) + beta ||x - x0||_1 + ||x - x0||_2^2`` within the bounds by iterative shrinkage.

    The objective measures distances in widths of the box, so that its settings mean the same for all bounds.

    Parameters
    ----------
    beta: weight of the L1 norm, and what every step shrinks by.
    rule: which point is best: ``l1``, the least L1 norm, or ``en``, the least ``beta L1 + L2^2``, in units of the
        input. None: ``l1`` under l1, ``en`` under l2.
    solver: ``fista``, with momentum, or ``ista``.
    search_steps: constants c tried for each sample.
    steps: steps for each constant.
    step_size: first step a_0; the k-th is ``a_0 sqrt(1 - k / steps)``.
    initial_c: first constant.
    confidence: how far the logit of the wrong class must be above, kappa in the paper; in the loss and asked of every
        point that counts.
    threshold: a step shrinks by ``beta``, as in the paper, or is ``proximal``: by ``a_k beta``.
    judged: with FISTA, ``y`` judges the points whose gradients are taken, by the same forward pass; ``x`` the
        iterates too, as the paper does, by a second one. (With ISTA they are the same.)
    abort_early: go on to the next constant where a descent stands still. The points found late are the sparse ones.
    """

    norms = ("l1", "l2")

    beta: NonNegative = 1e-3
    rule: Rule | None = None
    solver: Solver = "fista"
    search_steps: Count = 9
    steps: Count = 1000
    step_size: Positive = 0.01
    initial_c: Positive = 1e-3
    confidence: NonNegative = 0.0
    threshold: Threshold = "beta"
    judged: Judged = "y"
    abort_early: bool = False

    @property
    def default_loss(self) -> Loss:
        """f of eqs. 4 and 5."""
        return Margin(self.confidence)

    @property
    def condition(self) -> Criterion | None:
        return Confident(self.confidence) if self.confidence else None

    def start(self, task: Task) -> Descent:
        x = task.inputs
        return Descent(x, y=x, value=ep.zeros_like(x.flatten(1)[:, 0]))

    def descend(self, task: Task, inner: Descent, c: ep.Tensor, step: ep.Tensor) -> tuple[Descent, ep.Tensor]:
        x0, width = task.inputs, task.threat.bounds[1] - task.threat.bounds[0]
        k = per_sample(step, x0)
        a = self.step_size * (1 - k / self.steps).sqrt()

        q = task.query(task.clip(inner.y), self.condition)  # y may leave the bounds, the model's inputs may not
        d = (inner.y - x0) / width
        gradient = per_sample(c * width, d) * q.gradient + 2 * d  # of g(y), in widths
        shrunk = shrink(d - a * gradient, self.beta if self.threshold == "beta" else self.beta * a)  # eq. 8
        x = task.clip(x0 + width * shrunk)
        y = x + k / (k + 3) * (x - inner.x) if self.solver == "fista" else x

        success = q.success
        if self.judged == "x" and self.solver == "fista":
            success = ep.logical_or(success, task.evaluate(x, self.condition).success)
        return Descent(x, y, value=c * q.loss + self._elastic_net(d)), success

    def objective(self, inner: Descent) -> ep.Tensor | None:
        return inner.value if self.abort_early else None

    def cost(self, delta: Tensor, norm: str) -> Tensor:
        l1 = norms(delta, "l1")
        if (self.rule or ("l1" if norm == "l1" else "en")) == "l1":
            return l1
        return self.beta * l1 + delta.flatten(1).double().square().sum(1)

    def _elastic_net(self, d: ep.Tensor) -> ep.Tensor:
        flat = d.flatten(1)
        return self.beta * flat.abs().sum(1) + flat.square().sum(1)


def shrink(z: ep.Tensor, threshold: float | ep.Tensor) -> ep.Tensor:
    """``z`` (n, ...) moved towards zero by ``threshold``, and not beyond."""
    return ep.maximum(z - threshold, 0) + ep.minimum(z + threshold, 0)
