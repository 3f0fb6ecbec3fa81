"""The L2 attack (Carlini and Wagner 2017, sec. VI-A; weight search of sec. VI-D)."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import eagerpy as ep

from advplug.attack import Task, Wish
from advplug.errors import InvalidInput
from advplug.families import ConstantSearchAttack, confident
from advplug.losses import Loss, Margin
from advplug.numerics import Adam, TanhReparameterization, per_sample

PAPERS_RATE = 0.01
OVERSHOOT = 0.3
"""Share of a descent whose successes are kept, but do not lower the weight."""


class Descent(NamedTuple):
    """``x`` the current point and ``w`` its variable, both (n, ...); ``value`` (n,) of the objective one step ago."""

    x: ep.Tensor
    w: ep.Tensor
    adam: Adam
    value: ep.Tensor


class CarliniWagnerL2(ConstantSearchAttack[Descent]):
    """Minimise ``||x - x0||_2^2 + c f(x)`` over ``w``, ``x = tanh(w)`` within the bounds, with Adam.

    Distances are measured in widths of the box, so that c and the step mean the same for all bounds.

    Parameters
    ----------
    search_steps: weights c tried for each sample.
    iterations: steps of Adam for each weight; 10000 in the paper.
    rate: step of Adam in the variable w; None for the 0.01 of the paper. With fewer than 1000 iterations it then
        falls to that from 10 / iterations, so that they reach nearly as far.
    initial_c: first weight.
    kappa: how far the logit of the wrong class must be above; in the loss and asked of every point that counts.
    abort_early: go on to the next weight where the descent of a sample stands still; not with a rate that falls.
    stretch: share by which the box is wider for the change of variable, so that values at the bounds can move.

    Raises
    ------
    InvalidInput: a setting out of its range.
    """

    norms: ClassVar[tuple[str, ...]] = ("l2",)

    def __init__(
        self,
        *,
        search_steps: int = 9,
        iterations: int = 1000,
        rate: float | None = None,
        initial_c: float = 1e-3,
        kappa: float = 0.0,
        abort_early: bool = True,
        stretch: float = 0.01,
    ) -> None:
        if min(search_steps, iterations) < 1:
            raise InvalidInput(f"search_steps {search_steps}, iterations {iterations}: give at least 1 of each")
        if not (initial_c > 0 and stretch > 0 and (rate is None or rate > 0)):
            raise InvalidInput(f"rate {rate}, initial_c {initial_c}, stretch {stretch}: give positive numbers")
        if not kappa >= 0:
            raise InvalidInput(f"kappa {kappa}: give a number of at least 0")
        self.search_steps = search_steps
        self.iterations = iterations
        self.rate = rate
        self.initial_c = initial_c
        self.kappa = kappa
        self.abort_early = abort_early
        self.stretch = stretch

    @property
    def default_loss(self) -> Loss:
        """f6 of the paper."""
        return Margin(self.kappa)

    def wish(self, task: Task) -> Wish | None:
        return confident(task, self.kappa)

    def start(self, task: Task) -> Descent:
        x = task.inputs
        return Descent(
            x, TanhReparameterization.of(task, self.stretch).inverse(x), Adam.like(x), 0 * task.inputs.flatten(1)[:, 0]
        )

    def descend(self, task: Task, inner: Descent, c: ep.Tensor, step: ep.Tensor) -> tuple[Descent, ep.Tensor]:
        box, (x, w, adam, _) = TanhReparameterization.of(task, self.stretch), inner
        q = task.query(x, self.wish(task))
        assert q.gradient is not None
        delta = (x - task.inputs) / box.width
        value = delta.flatten(1).square().sum(1) + c * q.loss
        gradient = 2 / box.width * delta + per_sample(c, x) * q.gradient
        adam = adam.seen(gradient * box.slope(x))
        m, v = adam.scaled(per_sample(step + 1, x))
        w = w - self._rate(per_sample(step, x)) * m / v
        # The first steps of Adam may cross a near boundary at any weight: that says nothing of this one.
        success = ep.logical_and(q.success, step >= OVERSHOOT * self.iterations)
        return Descent(box.inside(w), w, adam, value), success

    def _rate(self, step: ep.Tensor) -> ep.Tensor:
        """The step of Adam; see ``rate``."""
        if self.rate is not None:
            return self.rate + 0 * step
        first = max(PAPERS_RATE, 10 / self.iterations)
        return first + (PAPERS_RATE - first) * step / self.iterations

    def objective(self, inner: Descent) -> ep.Tensor | None:
        falling = self.rate is None and 10 / self.iterations > PAPERS_RATE  # it may stand still until steps are small
        return inner.value if self.abort_early and not falling else None
