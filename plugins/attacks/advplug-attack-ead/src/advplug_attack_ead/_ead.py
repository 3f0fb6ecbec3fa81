"""The elastic-net attack (Chen, Sharma et al. 2018: objective eq. 7, algorithm 1)."""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple, get_args

import eagerpy as ep
from torch import Tensor

from advplug.attack import Task, Wish
from advplug.errors import InvalidInput
from advplug.families import ConstantSearchAttack, confident
from advplug.losses import Loss, Margin
from advplug.numerics import per_sample

Rule = Literal["l1", "en"]
Solver = Literal["fista", "ista"]
Threshold = Literal["beta", "proximal"]
Judged = Literal["x", "y"]


class Descent(NamedTuple):
    """``x`` the iterate, ``y`` where the gradient is taken (n, ...); ``value`` (n,) of the last objective."""

    x: ep.Tensor
    y: ep.Tensor
    value: ep.Tensor


class EAD(ConstantSearchAttack[Descent]):
    """Minimise ``c f(x) + beta ||x - x0||_1 + ||x - x0||_2^2`` within the bounds by iterative shrinkage.

    The objective measures distances in widths of the box, so that its settings mean the same for all bounds.

    Parameters
    ----------
    beta: weight of the L1 norm, and what every step shrinks by.
    rule: which point is best: ``l1``, the least L1 norm, or ``en``, the least ``beta L1 + L2^2``, in units of the
        input. None: ``l1`` under l1, ``en`` under l2.
    solver: ``fista``, with momentum, or ``ista``.
    search_steps: weights c tried for each sample.
    iterations: steps for each weight.
    rate: first step a_0; the k-th is ``a_0 sqrt(1 - k / iterations)``.
    initial_c: first weight.
    kappa: how far the logit of the wrong class must be above; in the loss and asked of every point that counts.
    threshold: a step shrinks by ``beta``, as in the paper, or is ``proximal``: by ``a_k beta``.
    judged: with FISTA, ``y`` judges the points whose gradients are taken, by the same forward pass; ``x`` the
        iterates too, as the paper does, by a second one. (With ISTA they are the same.)
    abort_early: go on to the next weight where a descent stands still. The points found late are the sparse ones.

    Raises
    ------
    InvalidInput: a setting out of its range.
    """

    norms: ClassVar[tuple[str, ...]] = ("l1", "l2")

    def __init__(
        self,
        *,
        beta: float = 1e-3,
        rule: Rule | None = None,
        solver: Solver = "fista",
        search_steps: int = 9,
        iterations: int = 1000,
        rate: float = 0.01,
        initial_c: float = 1e-3,
        kappa: float = 0.0,
        threshold: Threshold = "beta",
        judged: Judged = "y",
        abort_early: bool = False,
    ) -> None:
        choices = {"rule": (rule, Rule), "solver": (solver, Solver), "threshold": (threshold, Threshold)}
        for name, (value, known) in {**choices, "judged": (judged, Judged)}.items():
            if value not in get_args(known) and not (name == "rule" and value is None):
                raise InvalidInput(f"{name} {value!r}: choose one of {', '.join(get_args(known))}")
        if min(search_steps, iterations) < 1:
            raise InvalidInput(f"search_steps {search_steps}, iterations {iterations}: give at least 1 of each")
        if not (rate > 0 and initial_c > 0):
            raise InvalidInput(f"rate {rate}, initial_c {initial_c}: give positive numbers")
        if not (beta >= 0 and kappa >= 0):
            raise InvalidInput(f"beta {beta}, kappa {kappa}: give numbers of at least 0")
        self.beta = beta
        self.rule = rule
        self.solver = solver
        self.search_steps = search_steps
        self.iterations = iterations
        self.rate = rate
        self.initial_c = initial_c
        self.kappa = kappa
        self.threshold = threshold
        self.judged = judged
        self.abort_early = abort_early

    @property
    def default_loss(self) -> Loss:
        """f of eqs. 4 and 5."""
        return Margin(self.kappa)

    def wish(self, task: Task) -> Wish | None:
        return confident(task, self.kappa)

    def start(self, task: Task) -> Descent:
        x = task.inputs
        return Descent(x, x, 0 * x.flatten(1)[:, 0])

    def descend(self, task: Task, inner: Descent, c: ep.Tensor, step: ep.Tensor) -> tuple[Descent, ep.Tensor]:
        x0, wish = task.inputs, self.wish(task)
        width = task.threat.bounds[1] - task.threat.bounds[0]
        k = per_sample(step, x0)
        a = self.rate * (1 - k / self.iterations).sqrt()

        q = task.query(task.clip(inner.y), wish)  # y may leave the bounds, the model's inputs may not
        assert q.gradient is not None
        d = (inner.y - x0) / width
        gradient = per_sample(c * width, d) * q.gradient + 2 * d  # of g(y), in widths
        shrunk = shrink(d - a * gradient, self.beta if self.threshold == "beta" else self.beta * a)  # eq. 8
        x = task.clip(x0 + width * shrunk)
        y = x + k / (k + 3) * (x - inner.x) if self.solver == "fista" else x

        success = q.success
        if self.judged == "x" and self.solver == "fista":
            success = ep.logical_or(success, task.evaluate(x, wish).success)
        return Descent(x, y, c * q.loss + self._elastic_net(d)), success

    def objective(self, inner: Descent) -> ep.Tensor | None:
        return inner.value if self.abort_early else None

    def cost(self, delta: Tensor, norm: str) -> Tensor:
        flat = delta.flatten(1).double()
        l1 = flat.abs().sum(1)
        rule = self.rule or ("l1" if norm == "l1" else "en")
        return l1 if rule == "l1" else self.beta * l1 + flat.square().sum(1)

    def _elastic_net(self, d: ep.Tensor) -> ep.Tensor:
        flat = d.flatten(1)
        return self.beta * flat.abs().sum(1) + flat.square().sum(1)


def shrink(z: ep.Tensor, threshold: float | ep.Tensor) -> ep.Tensor:
    """``z`` (n, ...) moved towards zero by ``threshold``, and not beyond."""
    return ep.maximum(z - threshold, 0) + ep.minimum(z + threshold, 0)
