"""Random search from scores alone: a change of the best point so far is kept where the loss falls."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import eagerpy as ep

from advplug.attack import IterativeAttack, Task
from advplug.errors import InvalidInput
from advplug.hyperparameters import AtLeast, Count
from advplug.losses import CrossEntropy, Loss, Margin, View
from advplug.numerics.tensors import per_sample

START = -3
"""Step of the random numbers of the start, kept apart from those of the steps 0, 1, ..."""


@dataclass(frozen=True)
class MarginOrCrossEntropy(Loss):
    """The margin without targets, cross-entropy with them: what Square Attack and Sparse-RS take for each goal."""

    def __call__(self, view: View) -> ep.Tensor:
        return Margin()(view) if view.targets is None else CrossEntropy()(view)


class Best(NamedTuple):
    """``x`` the best point so far (n, ...), ``loss`` what it has, (n,)."""

    x: ep.Tensor
    loss: ep.Tensor


@dataclass(frozen=True, kw_only=True)
class RandomSearch(IterativeAttack[Best]):
    """A subclass says where the search starts and what a step proposes: :meth:`first` and :meth:`proposed`.

    Parameters
    ----------
    queries: evaluations of each sample, the first one included.
    proposals: changes that are tried on a sample at once, of which the best is kept; 1 is the papers'. More take less
        time where samples alone do not fill the device, and as many queries.
    """

    queries: Annotated[int, AtLeast(2)] = 5000
    proposals: Count = 1

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
        return Best(x, task.evaluate(x).loss)

    def step(self, task: Task, state: Best) -> Best:
        x, loss = task.evaluate_best(self.proposed(task, state.x, task.t * self.proposals))
        better = loss < state.loss
        return Best(ep.where(per_sample(better, x), x, state.x), ep.where(better, loss, state.loss))

    def conclude(self, task: Task, state: Best) -> None:
        """Nothing: every point was evaluated when it was proposed."""
