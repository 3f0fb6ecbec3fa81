"""SparseFool (Modas et al. 2019, algorithms 1 and 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import eagerpy as ep
import torch

from advplug.attack import IterativeAttack, Task
from advplug.hyperparameters import Count, NonNegative, Positive
from advplug.losses import ClassGaps, Loss
from advplug.numerics import Boundary, choose, raw, wrap
from advplug_attack_sparse._units import SparseAttack, room


class State(NamedTuple):
    """``x`` the current point, ``base`` the sparse one that DeepFool goes from, ``r`` the sum of its steps, (n, ...).

    ``inner`` how many steps those are, ``turns`` how many turns are over, (n,).
    """

    x: ep.Tensor
    base: ep.Tensor
    r: ep.Tensor
    inner: ep.Tensor
    turns: ep.Tensor


@dataclass(frozen=True, kw_only=True)
class SparseFool(SparseAttack, IterativeAttack[State]):
    """Fewest, or under L1 least, changes that cross the boundary as DeepFool sees it, again and again until they do.

    DeepFool under L2 leads to a point of the boundary; its gradient there is the normal of a hyperplane; a few values
    that go as far as the bounds let them cross that hyperplane. Samples take these turns independently of each other.
    The first sparse point that is adversarial ends the search of its sample.

    Parameters
    ----------
    steps: gradient steps in all.
    longest_inner: the most steps of DeepFool in one turn.
    depth: lambda, how far from the base the hyperplane lies, as a multiple of DeepFool's way: 1 at its point, 3 in the
        authors' code.
    growth: share of ``depth`` that each turn adds to it; 0 in the paper, where some samples turn without end.
    overshoot: share by which the sum of DeepFool's steps goes beyond the boundary, and under L1 the sparse change.
    """

    norms = ("l0", "l1")
    minimum_norm = True

    steps: Count = 200
    longest_inner: Count = 50
    depth: Positive = 1.0
    growth: NonNegative = 0.1
    overshoot: NonNegative = 0.02

    @property
    def default_loss(self) -> Loss:
        """The gaps to the nine likeliest other classes."""
        return ClassGaps()

    def init(self, task: Task) -> State:
        self.check_channels(task)
        x = task.start(random=False)
        none = ep.zeros_like(x.flatten(1)[:, 0])
        return State(x, x, ep.zeros_like(x), none, none)

    def step(self, task: Task, state: State) -> State:
        q = task.query(state.x)
        task.finish(ep.logical_and(q.success, state.inner == 0))
        boundary = Boundary.nearest(state.x, q.loss, q.gradient, "l2")
        descent = boundary._replace(gap=boundary.gap.abs())  # down the gradient until the class changes
        r = state.r + descent.step_from(state.x, "l2", task.threat.bounds)
        dense = state._replace(x=task.clip(state.base + (1 + self.overshoot) * r), r=r, inner=state.inner + 1)
        x = self.sparse_point(task, state, boundary.w)
        sparse = State(x, x, 0 * r, 0 * state.inner, state.turns + 1)
        chosen: State = choose(raw(ep.logical_or(q.success, state.inner >= self.longest_inner)), sparse, dense)
        return chosen

    def sparse_point(self, task: Task, state: State, normal: ep.Tensor) -> ep.Tensor:
        """From the base across the hyperplane that ``normal`` (n, ...) has behind DeepFool's point (algorithm 1)."""
        goal = -self.depth * (1 + self.growth * state.turns) * (normal * (state.x - state.base)).flatten(1).sum(1)
        fall, rise = room(task, state.base)
        reach = ep.where(normal < 0, rise, fall)
        gain = self.sums(reach * normal.abs())
        if task.threat.norm == "l0":  # whole moves of the units that gain most are fewest
            share = self.spread((in_turn(gain, gain, goal) > 0).astype(gain.dtype), normal)
            return task.clip(state.base - normal.sign() * reach * share)
        share = self.spread(in_turn(gain, self.sums(normal.abs()), goal), normal)
        change = state.base - task.inputs - normal.sign() * reach * share
        return task.clip(task.inputs + (1 + self.overshoot) * change)


def in_turn(gain: ep.Tensor, rank: ep.Tensor, goal: ep.Tensor) -> ep.Tensor:
    """Shares (n, U) in [0, 1] with ``sum share * gain = goal`` (n,), of which those of highest ``rank`` are 1 first."""
    order = raw(rank).argsort(dim=1, descending=True, stable=True)
    ordered = raw(gain).gather(1, order)
    missing = raw(goal)[:, None] - (ordered.cumsum(1) - ordered)
    share = torch.where(ordered > 0, missing / ordered, 0).clamp(0, 1)
    return wrap(torch.zeros_like(share).scatter(1, order, share))
