"""Random search from scores alone: a change of the best point so far is kept where the loss falls."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import eagerpy as ep
import torch

from advplug.attack import IterativeAttack, Task
from advplug.errors import InvalidInput
from advplug.hyperparameters import AtLeast, Count, Positive
from advplug.losses import CrossEntropy, Loss, Margin, View
from advplug.numerics.tensors import per_sample, raw, wrap

START = -3
"""Step of the random numbers of the start, kept apart from those of the steps 0, 1, ..."""

LOOKS = (1000, 2000, 3000, 4000)
"""After how many queries a search with ``patience`` asks which samples it gives up."""

FOLD = 5
"""By how much the queries have grown since the loss that it compares with."""


@dataclass(frozen=True)
class MarginOrCrossEntropy(Loss):
    """The margin without targets, cross-entropy with them: what Square Attack and Sparse-RS take for each goal."""

    def __call__(self, view: View) -> ep.Tensor:
        return Margin()(view) if view.targets is None else CrossEntropy()(view)


class Best(NamedTuple):
    """``x`` the best point so far (n, ...), ``loss`` what it has, (n,).

    ``earlier`` (n, looks) is the loss at a fifth of the queries of each look; infinite until then.
    """

    x: ep.Tensor
    loss: ep.Tensor
    earlier: ep.Tensor


@dataclass(frozen=True, kw_only=True)
class RandomSearch(IterativeAttack[Best]):
    """A subclass says where the search starts and what a step proposes: :meth:`first` and :meth:`proposed`.

    Parameters
    ----------
    queries: evaluations of each sample, the first one included.
    proposals: changes that are tried on a sample at once, of which the best is kept; 1 is the papers'. More take less
        time where samples alone do not fill the device, and as many queries.
    patience: how soon a sample without success is given up; None for never. After 1000, 2000, 3000 and 4000 queries
        the loss is compared with that after a fifth of them. It falls about as the logarithm of the queries. A sample
        is given up if its loss would have to fall by more than ``patience`` times as much again to reach zero. One
        whose loss did not fall goes on. For losses that are zero on the boundary, such as the margin; without targets.
    """

    queries: Annotated[int, AtLeast(2)] = 5000
    proposals: Count = 1
    patience: Positive | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.proposals >= self.queries:
            raise InvalidInput(f"proposals is {self.proposals}: give fewer than queries, {self.queries}")

    @property
    def planned_steps(self) -> int:
        """Steps of as many queries as there are proposals, after the first query."""
        return (self.queries - 1) // self.proposals

    @property
    def default_loss(self) -> Loss:
        """The margin; cross-entropy with targets."""
        return MarginOrCrossEntropy()

    @abstractmethod
    def first(self, task: Task) -> ep.Tensor:
        """The first point, (n, ...)."""

    @abstractmethod
    def proposed(self, task: Task, x: ep.Tensor, tried: int) -> ep.Tensor:
        """Changes (proposals, n, ...) of ``x`` (n, ...), after so many that were ``tried``."""

    def init(self, task: Task) -> Best:
        x = self.first(task)
        loss = raw(task.evaluate(x).loss)
        return Best(x, wrap(loss), wrap(loss.new_full((len(loss), len(LOOKS)), torch.inf)))

    def step(self, task: Task, state: Best) -> Best:
        x, loss = task.evaluate_best(self.proposed(task, state.x, task.t * self.proposals))
        better = loss < state.loss
        x, loss = ep.where(per_sample(better, x), x, state.x), ep.where(better, loss, state.loss)
        if self.patience is None or task.targets is not None:
            return Best(x, loss, state.earlier)
        return Best(x, loss, self._look(task, loss, state.earlier, self.patience))

    def _look(self, task: Task, loss: ep.Tensor, earlier: ep.Tensor, patience: float) -> ep.Tensor:
        """Give up what is far from the boundary and slow; the earlier losses, with this one where it is due."""
        for number, look in enumerate(LOOKS):
            if self._passes(task.t, look):
                fall = earlier[:, number] - loss
                growths = max(math.log(self.queries / look, FOLD), 1.0)  # by which the queries have still to grow
                task.finish(ep.logical_and(fall > 0, loss > patience * growths * fall))
        due = [self._passes(task.t, look // FOLD) for look in LOOKS]
        if not any(due):
            return earlier
        return wrap(torch.where(torch.tensor(due, device=raw(loss).device), raw(loss)[:, None], raw(earlier)))

    def _passes(self, t: int, queries: int) -> bool:
        """Whether step ``t`` brings the number of queries up to ``queries``, or beyond."""
        before = 1 + t * self.proposals
        return before < queries <= before + self.proposals

    def conclude(self, task: Task, state: Best) -> None:
        """Nothing: every point was evaluated when it was proposed."""
