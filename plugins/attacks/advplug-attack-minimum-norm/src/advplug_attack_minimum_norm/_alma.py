"""ALMA, the augmented Lagrangian method for adversarial attacks (Rony et al. 2021, algorithm 1)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import eagerpy as ep

from advplug.attack import IterativeAttack, Task
from advplug.hyperparameters import AtLeast, Count, Fraction, Positive, PositiveShare
from advplug.losses import Loss, Margin, View
from advplug.numerics import largest, least_scale, per_sample, raw, size, unit, wrap

FIRST_LENGTH = {"l2": 0.1, "l1": 0.5}
"""How far the first step goes, in widths of the bounds: what the authors chose for CIFAR-10."""

LEAST_SCALE = 1e-6
LEAST_MULTIPLIER, LARGEST_MULTIPLIER = 1e-6, 1e12


class State(NamedTuple):
    """``x`` the current point, ``square`` and ``momentum`` of RMSProp, (n, ...); all else (n,).

    ``mu`` and ``rho`` are the multiplier and the parameter of the penalty, ``checked`` the loss at the last check,
    ``rate`` the step size, ``found`` the number of the step that met the first success, ``scale`` the size of the first
    loss, in which losses are measured.
    """

    x: ep.Tensor
    square: ep.Tensor
    momentum: ep.Tensor
    mu: ep.Tensor
    rho: ep.Tensor
    checked: ep.Tensor
    rate: ep.Tensor
    found: ep.Tensor
    scale: ep.Tensor


@dataclass(frozen=True)
class MarginRatio(Loss):
    """:class:`Margin` in units of the spread of the highest logits, which does not change when all are scaled.

    The spread is ``z_1st - z_3rd``, with targets ``z_1st - (z_3rd + z_4th) / 2``; 1 for two classes. Positive where the
    sample is right, unlike ``DLR`` also with targets.
    """

    def __call__(self, view: View) -> ep.Tensor:
        margin, count = Margin()(view), 3 if view.targets is None else 4
        top = largest(view.logits, min(count, view.logits.shape[1]))
        return margin if top.shape[1] < 3 else margin / (top[:, 0] - top[:, 2:].mean(1) + 1e-8)


@dataclass(frozen=True, kw_only=True)
class ALMA(IterativeAttack[State]):
    """Smallest perturbation under L2 or L1: RMSProp on the distance plus a penalty for the unmet constraint.

    The weight of the penalty follows its derivative, so there is no search for a constant. Distances are measured in
    widths of the bounds, and the loss of each sample in units of its value at the first point, which the paper does not
    do: distances were as small or smaller, and any loss that changes its sign at the boundary will do.

    Parameters
    ----------
    steps: number of gradient steps; 100 and 1000 in the paper.
    alpha: weight of the past in the averages of the multiplier and of RMSProp, and its momentum; the paper takes 0.5
        for 100 steps.
    first_length: how far the first step goes; None for 0.1 under l2 and 0.5 under l1, as the authors for CIFAR-10.
    final_rate: the step size falls to this share of its first value, beginning with the first success of a sample.
    mu: first multiplier of the penalty.
    rho: first parameter of the penalty.
    check_every: steps between looks at the progress of samples without a success.
    tau: a loss above this share of that at the last look raises ``rho``.
    gamma: by this factor.
    """

    norms = ("l2", "l1")
    minimum_norm = True

    steps: Count = 1000
    alpha: Fraction = 0.9
    first_length: Positive | None = None
    final_rate: PositiveShare = 0.01
    mu: Positive = 1.0
    rho: Positive = 1.0
    check_every: Count = 10
    tau: Fraction = 0.95
    gamma: Annotated[float, AtLeast(1)] = 1.2

    @property
    def default_loss(self) -> Loss:
        """The difference of logits, relative to their spread."""
        return MarginRatio()

    def init(self, task: Task) -> State:
        x = task.inputs if task.starting_points is None else task.clip(task.starting_points)
        one = ep.ones_like(x.flatten(1)[:, 0])
        nothing, everything = ep.zeros_like(x), ep.ones_like(x)
        return State(
            x=x,
            square=everything,
            momentum=nothing,
            mu=self.mu * one,
            rho=self.rho * one,
            checked=math.inf * one,
            rate=one,
            found=(self.steps + 1) * one,
            scale=one,
        )

    def step(self, task: Task, state: State) -> State:
        q, width = task.query(state.x), task.threat.bounds[1] - task.threat.bounds[0]
        delta = (state.x - task.inputs) / width
        found = ep.where(q.success, ep.minimum(state.found, task.t), state.found)
        scale = ep.maximum(q.loss.abs(), LEAST_SCALE) if task.t == 0 else state.scale
        y = q.loss / scale
        state = self._penalised(task, state._replace(found=found, scale=scale), y)

        g = width * per_sample(slope(y, state.rho, state.mu) / scale, delta) * q.gradient
        if task.t == 0:
            g = ep.where(per_sample(size(g, "linf"), g) > 0, g, random_direction(task))
        else:
            g = g + (unit(delta) if task.threat.norm == "l2" else delta.sign())
        square = self.alpha * state.square + (1 - self.alpha) * g.square()
        momentum = self.alpha * state.momentum + g / (square.sqrt() + 1e-8)
        if task.t == 0:
            state = state._replace(rate=self._first_rate(task, momentum, width))
        step = per_sample(state.rate * self._decay(task, state.found), delta) * momentum
        x = task.clip(task.inputs + width * (delta - step))
        return state._replace(x=x, square=square, momentum=momentum)

    def _penalised(self, task: Task, state: State, y: ep.Tensor) -> State:
        """The parameter and the multiplier of the penalty at ``y`` (n,), how far the constraint is from met."""
        if task.t == 0:
            return state._replace(checked=y)
        rho, checked = state.rho, state.checked
        if (task.t + 1) % self.check_every == 0:
            slow = ep.logical_and(state.found > task.t, y >= self.tau * checked)
            rho, checked = ep.where(slow, self.gamma * rho, rho), y
        mu = self.alpha * state.mu + (1 - self.alpha) * slope(y, rho, state.mu)
        return state._replace(rho=rho, checked=checked, mu=mu.clip(LEAST_MULTIPLIER, LARGEST_MULTIPLIER))

    def _first_rate(self, task: Task, momentum: ep.Tensor, width: float) -> ep.Tensor:
        """The step size (n,) at which a step along ``momentum`` (n, ...), cut to the bounds, has the first length."""
        low, high = task.threat.bounds
        room = ep.where(momentum > 0, task.inputs - low, high - task.inputs).flatten(1) / width
        length = FIRST_LENGTH[task.threat.norm] if self.first_length is None else self.first_length
        pace, goal = momentum.flatten(1).abs(), ep.full_like(room[:, :1], length)
        if task.threat.norm == "l1":
            return wrap(least_scale(raw(room), raw(pace), raw(goal))).squeeze(1)
        return wrap(least_scale(*(raw(values.square()) for values in (room, pace, goal)))).sqrt().squeeze(1)

    def _decay(self, task: Task, found: ep.Tensor) -> ep.Tensor:
        """The share of the first step size (n,) that is left in this step."""
        since = ep.maximum(task.t - found, 0) / (self.steps - found)
        return (math.log(self.final_rate) * since).exp()


def slope(y: ep.Tensor, rho: ep.Tensor, mu: ep.Tensor) -> ep.Tensor:
    """The derivative in ``y`` of the penalty P2 of the paper; all (n,).

    P2 is ``mu y + mu rho y^2 + rho^2 y^3 / 6`` for a constraint that is not met, ``y >= 0``, and
    ``mu y / (1 - rho y)`` beyond it.
    """
    unmet, met = ep.maximum(y, 0), ep.minimum(y, 0)
    return mu * (1 + 2 * rho * unmet) / (1 - rho * met).square() + (rho * unmet).square() / 2


def random_direction(task: Task) -> ep.Tensor:
    """For samples without a gradient, (n, ...)."""
    return wrap(task.noise.normal(task.t, task.inputs.shape[1:])[0]).astype(task.inputs.dtype)
