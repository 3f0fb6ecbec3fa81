"""SimBA (Guo et al. 2019, algorithm 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import eagerpy as ep
import torch
from torch import Tensor

from advplug.attack import IterativeAttack, Task
from advplug.hyperparameters import Count, Positive, PositiveShare
from advplug.numerics import per_sample, raw, wrap
from advplug_attack_score._bases import Basis, Cosines, Pixels

ORDER = -3
"""Step of the random numbers of the order of directions, kept apart from those of the steps."""


class State(NamedTuple):
    """``x`` the best point so far (n, ...) with its ``loss`` (n,).

    ``order`` int64 (n, directions) in which each sample takes them, ``tried`` how many it is through with, and ``side``
    the sign, 1 or -1, that it tries next along the one after, both int64 (n,).
    """

    x: ep.Tensor
    loss: ep.Tensor
    order: Tensor
    tried: Tensor
    side: Tensor


@dataclass(frozen=True, kw_only=True)
class SimBA(IterativeAttack[State]):
    """A step forward or back along one direction of an orthonormal basis after the other, kept where the loss falls.

    Each sample takes the directions in an order of its own, without repetition until all were tried. A step back
    is tried, at one more query, where the step forward does not help. Points stay within the budget: the paper has
    none, and ``directions x step_size^2`` bounds its squared L2 norm.

    Parameters
    ----------
    queries: evaluations of each sample, the first one included.
    step_size: epsilon, the length of a step, as a share of the range of valid values.
    basis: ``pixel``, single values, or ``dct``, low frequencies of each channel.
    frequencies: share of the frequencies along each dimension, lowest first, that ``dct`` takes; an eighth is the
        paper's for images of 224 x 224.
    """

    norms = ("l2", "linf")

    queries: Count = 5000
    step_size: Positive = 0.2
    basis: Literal["pixel", "dct"] = "pixel"
    frequencies: PositiveShare = 0.125

    @property
    def planned_steps(self) -> int:
        """Steps of one query each, after the first query."""
        return self.queries - 1

    def init(self, task: Task) -> State:
        x = task.start(random=False)
        count = self.directions(task).count
        order = task.noise.uniform(ORDER, (count,)).argsort(dim=1)
        tried = torch.zeros_like(order[:, 0])
        return State(x, task.evaluate(x).loss, order, tried, torch.ones_like(tried))

    def step(self, task: Task, state: State) -> State:
        basis = self.directions(task)
        number = state.order.gather(1, (state.tried % basis.count)[:, None]).squeeze(1)
        q = wrap(basis.vectors(number, raw(state.x)))
        width = task.threat.bounds[1] - task.threat.bounds[0]
        x = task.project(state.x + self.step_size * width * per_sample(wrap(state.side.to(q.raw.dtype)), q) * q)
        loss = task.evaluate(x).loss
        better = loss < state.loss
        through = raw(better) | (state.side < 0)
        return State(
            ep.where(per_sample(better, x), x, state.x),
            ep.where(better, loss, state.loss),
            state.order,
            state.tried + through.long(),
            torch.where(through, 1, -state.side),
        )

    def conclude(self, task: Task, state: State) -> None:
        """Nothing: every point was evaluated when it was proposed."""

    def directions(self, task: Task) -> Basis:
        """The basis for inputs of this shape."""
        shape = raw(task.inputs).shape[1:]
        return Pixels(shape) if self.basis == "pixel" else Cosines(shape, self.frequencies)
