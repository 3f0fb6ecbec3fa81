"""The Jacobian-based saliency map attack (Papernot et al. 2016, algorithms 2 and 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import eagerpy as ep
import torch

from advplug.attack import IterativeAttack, Task
from advplug.hyperparameters import Count, PositiveShare
from advplug.losses import Loss
from advplug.numerics import per_sample, raw, wrap
from advplug_attack_sparse._losses import TargetAndRest
from advplug_attack_sparse._saliency import best_pair, best_single
from advplug_attack_sparse._units import SparseAttack, room, width

Direction = Literal["up", "down", "both"]


class State(NamedTuple):
    """``x`` the current point (n, ...), ``sign`` whether values rise (1) or fall (-1) in this search, (n,)."""

    x: ep.Tensor
    sign: ep.Tensor


@dataclass(frozen=True, kw_only=True)
class JSMA(SparseAttack, IterativeAttack[State]):
    """Change the most salient value, or pair of values, again and again until the class is the target's.

    A value is salient if the target's score rises with it and the sum of all other scores falls. Without targets each
    step aims at the likeliest other class; ``targets="each"`` tries all of them.

    Parameters
    ----------
    steps: steps in all, of both searches if ``direction`` is ``both``.
    theta: how far a chosen value moves, in widths of the bounds; what reaches its end is not chosen again.
    gamma: share of the units that may change; 0.145 in the paper.
    pairs: choose two units at a time, as in the paper; False for the most salient one.
    weighted: rate a value by what its move changes in the scores, slope times length; False for the slope alone, as in
        the paper, which chooses values that have hardly room to move.
    direction: whether values rise (``up``), fall (``down``), or rise in a first search and fall in a second, of which
        the sparser result counts.
    """

    norms = ("l0",)
    minimum_norm = True
    fixed_loss = True

    steps: Count = 1000
    theta: PositiveShare = 1.0
    gamma: PositiveShare = 1.0
    pairs: bool = True
    weighted: bool = True
    direction: Direction = "both"

    @property
    def default_loss(self) -> Loss:
        """The target's score and the sum of all others."""
        return TargetAndRest()

    def init(self, task: Task) -> State:
        self.check_channels(task)
        x = task.start(random=False)
        return State(x, ep.full_like(x.flatten(1)[:, 0], -1.0 if self.direction == "down" else 1.0))

    def step(self, task: Task, state: State) -> State:
        q = task.query(state.x)
        sign = per_sample(state.sign, state.x)
        fall, rise = room(task, state.x)
        reach = ep.minimum(ep.where(sign > 0, rise, fall), self.theta * width(task))
        closed = raw(self.sums(reach) == 0)
        weight = sign * (reach if self.weighted else (reach > 0).astype(reach.dtype))
        alpha = raw(self.sums(-weight * q.gradient[:, 0])).masked_fill(closed, -torch.inf)
        beta = raw(self.sums(weight * q.gradient[:, 1])).masked_fill(closed, torch.inf)
        chosen, saliency = (best_pair if self.pairs else best_single)(alpha, beta)
        x = task.clip(state.x + sign * self.theta * width(task) * self.spread(wrap(chosen), state.x))
        changed = self.changed(task, x)
        many = ep.logical_or(changed.sum(1) > self.gamma * changed.shape[1], self.beaten(task, x))
        over = ep.logical_or(ep.logical_or(q.success, wrap(saliency <= 0)), many)
        again = ep.logical_and(over, self.direction == "both" and state.sign > 0)
        task.finish(ep.logical_and(over, ep.logical_not(again)))
        return State(ep.where(per_sample(again, x), task.inputs, x), ep.where(again, -1.0, state.sign))
