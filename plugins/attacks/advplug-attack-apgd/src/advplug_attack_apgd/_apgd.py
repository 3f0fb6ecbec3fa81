"""Auto-PGD (Croce and Hein 2020, algorithm 1), and its form for L1 (Croce and Hein 2021, algorithm 1)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import eagerpy as ep
import torch

from advplug.attack import IterativeAttack, Task
from advplug.hyperparameters import Count, PositiveShare
from advplug.numerics import PROJECTIONS, per_sample, raw, size, unit, wrap

LARGER = ((0.0, 3.0), (0.3, 2.0), (0.6, 1.0))
"""Pairs of a share of the steps and the factor of the budget from there on (Croce and Hein 2021)."""


class State(NamedTuple):
    """Points and gradients (n, ...), all else one number per sample, (n,).

    ``x`` is the point to evaluate next, ``previous`` the one before it. ``best_x`` has the least loss so far,
    ``best_loss``, and ``best_gradient``. ``eta`` is the step size.

    Since the last checkpoint: ``gains`` counts the steps that lowered the loss; ``checked_loss`` was the least loss
    there, and ``halved`` says whether the step was halved there. L1 only: a step moves ``density`` of all values,
    and the best point had moved ``support`` of them.
    """

    x: ep.Tensor
    previous: ep.Tensor
    loss: ep.Tensor
    best_x: ep.Tensor
    best_gradient: ep.Tensor
    best_loss: ep.Tensor
    eta: ep.Tensor
    gains: ep.Tensor
    checked_loss: ep.Tensor
    halved: ep.Tensor
    density: ep.Tensor
    support: ep.Tensor


@dataclass(frozen=True, kw_only=True)
class APGD(IterativeAttack[State]):
    """Projected gradient descent with momentum that finds its step size by itself, for each sample.

    At checkpoints that grow denser, a sample that made too little progress halves its step and goes back to its best
    point. Under L1 it adapts how many values a step moves instead, to the sparsity of its best point.

    Parameters
    ----------
    steps: number of gradient steps.
    rho: share of the steps since the last checkpoint that must lower the loss, or the step is halved.
    momentum: weight alpha of the new step; the rest is the last one's. Under L1 there is none.
    random_start: start from a random point of the ball rather than from the input.
    larger_radii: under L1 spend 30 % of the steps each within three and two times the budget, and go on from the best
        point found there, as the authors of the form for L1 do. Points beyond the budget never count.
    """

    norms = ("linf", "l2", "l1")

    steps: Count = 100
    rho: PositiveShare = 0.75
    momentum: PositiveShare = 0.75
    random_start: bool = True
    larger_radii: bool = False

    def init(self, task: Task) -> State:
        x, epsilon = task.start(self.random_start), task.epsilon
        unknown, none = ep.full_like(epsilon, float("inf")), ep.zeros_like(epsilon)
        return State(
            x=x,
            previous=x,
            loss=unknown,
            best_x=x,
            best_gradient=ep.zeros_like(x),
            best_loss=unknown,
            eta=self._factor(task, 0) * epsilon if task.threat.norm == "l1" else 2 * epsilon,
            gains=none,
            checked_loss=unknown,
            halved=none > 0,
            density=none + 0.2,
            support=none + task.inputs.flatten(1).shape[1],
        )

    def step(self, task: Task, state: State) -> State:
        if task.t > 0 and self._factor(task, task.t) < self._factor(task, task.t - 1):
            state = self._in_smaller_ball(task, state)
        q = task.query(state.x)
        x, gradient = state.x, q.gradient
        better = q.loss <= state.best_loss  # not "<": where the loss is flat, do not fall back to the start
        state = state._replace(
            loss=q.loss,
            best_x=ep.where(per_sample(better, x), x, state.best_x),
            best_gradient=ep.where(per_sample(better, x), gradient, state.best_gradient),
            best_loss=ep.where(better, q.loss, state.best_loss),
            gains=state.gains + (q.loss < state.loss).astype(state.gains.dtype) if task.t > 0 else state.gains,
        )
        since = self._windows(task.threat.norm).get(task.t)
        if since is not None:
            state, back = self._new_support(task, state) if task.threat.norm == "l1" else self._new_step(state, since)
            x = ep.where(per_sample(back, x), state.best_x, x)
            gradient = ep.where(per_sample(back, x), state.best_gradient, gradient)
        return state._replace(x=self._next(task, state, x, gradient), previous=x)

    def _next(self, task: Task, state: State, x: ep.Tensor, gradient: ep.Tensor) -> ep.Tensor:
        """Lines 7 and 8: a step of length eta, then momentum."""
        eta = per_sample(state.eta, x)
        match task.threat.norm:
            case "l1":
                return self._project_l1(task, x - eta * sparse_sign(gradient, state.density))
            case "l2":
                z = task.project(x - eta * unit(gradient))
            case _:
                z = task.project(x - eta * gradient.sign())
        alpha = self.momentum if task.t > 0 else 1.0
        return task.project(x + alpha * (z - x) + (1 - alpha) * (x - state.previous))

    def _new_step(self, state: State, since: int) -> tuple[State, ep.Tensor]:
        """Lines 15 to 18: halve the step under condition 1 or 2; which samples return to their best point, (n,)."""
        few_gains = state.gains < self.rho * since
        stuck = ep.logical_and(ep.logical_not(state.halved), state.best_loss == state.checked_loss)
        halve = ep.logical_or(few_gains, stuck)
        return state._replace(
            eta=ep.where(halve, state.eta / 2, state.eta),
            gains=ep.zeros_like(state.gains),
            checked_loss=state.best_loss,
            halved=halve,
        ), halve

    def _new_support(self, task: Task, state: State) -> tuple[State, ep.Tensor]:
        """L1, lines 9 to 16: where the best point grew sparser, take long steps again, else shorter ones."""
        moved = size(state.best_x - task.inputs, "l0")
        sparser = moved < 0.95 * state.support
        radius = self._factor(task, task.t) * task.epsilon
        eta = ep.where(sparser, radius, ep.maximum(state.eta / 1.5, radius / 10))
        values = task.inputs.flatten(1).shape[1]
        return state._replace(eta=eta, density=moved / (1.5 * values), support=moved), sparser

    def _factor(self, task: Task, t: int) -> float:
        """The radius of the ball in step ``t``, in budgets."""
        if task.threat.norm != "l1" or not self.larger_radii:
            return 1.0
        return next(factor for share, factor in reversed(LARGER) if t >= int(share * self.steps))

    def _in_smaller_ball(self, task: Task, state: State) -> State:
        """Go on from the best point of the larger ball, as if it were a start."""
        x = self._project_l1(task, state.best_x)
        moved = size(x - task.inputs, "l0")
        unknown = ep.full_like(state.best_loss, float("inf"))
        return state._replace(
            x=x,
            previous=x,
            best_x=x,
            best_loss=unknown,
            loss=unknown,
            eta=self._factor(task, task.t) * task.epsilon,
            density=moved / (1.5 * task.inputs.flatten(1).shape[1]),
            support=moved,
        )

    def _project_l1(self, task: Task, x: ep.Tensor) -> ep.Tensor:
        """The nearest point (n, ...) in the bounds and in the ball of this step."""
        clean = raw(task.inputs).flatten(1)
        low, high = raw(task.lower).flatten(1) - clean, raw(task.upper).flatten(1) - clean
        radius = self._factor(task, task.t) * raw(task.epsilon)[:, None]
        delta = PROJECTIONS["l1"](raw(x).flatten(1) - clean, radius, low, high)
        return wrap((clean + delta).view_as(raw(x)))

    def _windows(self, norm: str) -> dict[int, int]:
        """The steps that are checkpoints, each with the number of steps since the one before it."""
        if norm == "l1":
            every = max(self.steps // 25, 1)
            return dict.fromkeys(range(every, self.steps, every), every)
        percent = [0, 22]
        while percent[-1] <= 100:
            percent.append(percent[-1] + max(percent[-1] - percent[-2] - 3, 6))
        at = sorted({-(-p * self.steps // 100) for p in percent if p <= 100})  # rounded up
        return {t: t - before for before, t in pairwise(at)}


def sparse_sign(g: ep.Tensor, density: ep.Tensor) -> ep.Tensor:
    """The sign of the ``density`` (n,) largest of the values of each sample, zero elsewhere, at L1 norm 1."""
    flat = raw(g).flatten(1)
    magnitude = flat.abs()
    count = (raw(density) * flat.shape[1]).ceil().long().clamp(1, flat.shape[1])
    least = magnitude.sort(1, descending=True).values.gather(1, count[:, None] - 1)
    sign = torch.where(magnitude >= least, flat.sign(), 0)
    return wrap((sign / sign.abs().sum(1, keepdim=True).clamp(min=1)).view_as(raw(g)))
