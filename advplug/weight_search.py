"""Attacks that minimise distance + c * loss and search for the weight c of each sample by bisection."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import eagerpy as ep

from advplug.attack import HasPoint, IterativeAttack
from advplug.task import Task

Inner = TypeVar("Inner", bound=HasPoint)

_UNBOUNDED = 1e9  # an upper end above this was never set by a success


class Weights(NamedTuple):
    """The search for the weight: the interval [``lower``, ``upper``] around ``c`` and whether ``c`` succeeded, (n,)."""

    c: ep.Tensor
    lower: ep.Tensor
    upper: ep.Tensor
    found: ep.Tensor

    @classmethod
    def starting_at(cls, c: float, like: ep.Tensor) -> Weights:
        """The first weight ``c`` for each row of ``like`` (n, ...)."""
        ones = like.flatten(1)[:, 0] * 0 + 1
        return cls(c * ones, 0 * ones, 10 * _UNBOUNDED * ones, ones < 0)

    def tried(self, success: ep.Tensor) -> Weights:
        """After one more point: ``success`` bool (n,)."""
        return self._replace(found=ep.logical_or(self.found, success))

    def next(self) -> Weights:
        """Halve the interval; ten times the weight as long as none succeeded (Carlini and Wagner 2017, sec. VI-D)."""
        upper = ep.where(self.found, ep.minimum(self.upper, self.c), self.upper)
        lower = ep.where(self.found, self.lower, ep.maximum(self.lower, self.c))
        c = ep.where(upper < _UNBOUNDED, (lower + upper) / 2, 10 * self.c)
        return Weights(c, lower, upper, ep.zeros_like(self.found))


@dataclass(frozen=True)
class Search(Generic[Inner]):
    """State of a :class:`WeightSearchAttack`: the weights and the state of the descent at the present ones."""

    weights: Weights
    inner: Inner

    @property
    def x(self) -> ep.Tensor:
        """The current point (n, ...)."""
        return self.inner.x


class WeightSearchAttack(IterativeAttack[Search[Inner]], Generic[Inner]):
    """``search_steps`` descents of ``iterations`` steps each, with a smaller weight where the last one succeeded.

    A subclass writes the descent at given weights: :meth:`start` and :meth:`descend`.
    """

    minimum_norm = True
    search_steps: int
    iterations: int
    initial_c: float

    @property
    def steps(self) -> int:  # type: ignore[override]
        """Steps of all descents."""
        return self.search_steps * self.iterations

    @abstractmethod
    def start(self, task: Task) -> Inner:
        """The state before the first step of a descent."""

    @abstractmethod
    def descend(self, task: Task, inner: Inner, c: ep.Tensor, step: int) -> tuple[Inner, ep.Tensor]:
        """Step number ``step`` (0 first) of a descent at the weights ``c`` (n,): the next state, and success (n,)."""

    def init(self, task: Task) -> Search[Inner]:
        return Search(Weights.starting_at(self.initial_c, task.inputs), self.start(task))

    def step(self, task: Task, state: Search[Inner]) -> Search[Inner]:
        step = task.t % self.iterations
        if task.t and step == 0:
            state = Search(state.weights.next(), self.start(task))
        inner, success = self.descend(task, state.inner, state.weights.c, step)
        return Search(state.weights.tried(success), inner)
