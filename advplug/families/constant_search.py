"""Attacks that minimise distance + c * loss and search for the constant c of each sample by bisection."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Generic, NamedTuple, TypeVar

import eagerpy as ep

from advplug.attack import HasPoint, IterativeAttack, Task
from advplug.criteria import Criterion
from advplug.numerics.tensors import raw
from advplug.numerics.trees import choose

Inner = TypeVar("Inner", bound=HasPoint)

_UNBOUNDED = 1e9  # an upper end above this was never set by a success
_LEAST_GAIN = 1e-4  # a descent that gains a smaller share between two looks stands still


class Constants(NamedTuple):
    """The search for the constant: the interval [``lower``, ``upper``] around ``c``, whether ``c`` succeeded; (n,)."""

    c: ep.Tensor
    lower: ep.Tensor
    upper: ep.Tensor
    found: ep.Tensor

    @classmethod
    def starting_at(cls, c: float, like: ep.Tensor) -> Constants:
        """The first constant ``c`` for each row of ``like`` (n, ...)."""
        ones = like.flatten(1)[:, 0] * 0 + 1
        return cls(c * ones, 0 * ones, 10 * _UNBOUNDED * ones, ones < 0)

    def tried(self, success: ep.Tensor) -> Constants:
        """After one more point: ``success`` bool (n,)."""
        return self._replace(found=ep.logical_or(self.found, success))

    def next(self) -> Constants:
        """Halve the interval; ten times the constant as long as none succeeded (Carlini and Wagner 2017, sec. VI-D)."""
        upper = ep.where(self.found, ep.minimum(self.upper, self.c), self.upper)
        lower = ep.where(self.found, self.lower, ep.maximum(self.lower, self.c))
        c = ep.where(upper < _UNBOUNDED, (lower + upper) / 2, 10 * self.c)
        return Constants(c, lower, upper, ep.zeros_like(self.found))


@dataclass(frozen=True)
class Search(Generic[Inner]):
    """State of a :class:`ConstantSearchAttack`: the constants, and the state of the descent at the present ones.

    Each sample descends in its own time: ``step`` counts the steps of its present descent, ``descents`` its descents
    with that one, ``least`` is the least value in it of what it minimises, ``before`` that at the last look; all (n,).
    """

    constants: Constants
    inner: Inner
    step: ep.Tensor
    descents: ep.Tensor
    least: ep.Tensor
    before: ep.Tensor
    idle: ep.Tensor

    @property
    def x(self) -> ep.Tensor:
        """The current point (n, ...)."""
        return self.inner.x


class ConstantSearchAttack(IterativeAttack[Search[Inner]], Generic[Inner]):
    """``search_steps`` descents of ``steps`` steps each, with a smaller constant where the last one succeeded.

    A subclass writes the descent at given constants: :meth:`start` and :meth:`descend`. With :meth:`objective`, a
    sample whose descent stands still goes on to its next constant at once, and is done when it had its
    ``search_steps``.
    """

    minimum_norm = True

    search_steps: int
    steps: int
    initial_c: float
    idle_looks: ClassVar[int] = 3
    """Looks without a gain after which a descent stands still; with fewer, one on a plateau may end before its edge."""

    @property
    def planned_steps(self) -> int:
        """Steps of all descents."""
        return self.search_steps * self.steps

    @abstractmethod
    def start(self, task: Task) -> Inner:
        """The state before the first step of a descent."""

    @abstractmethod
    def descend(self, task: Task, inner: Inner, c: ep.Tensor, step: ep.Tensor) -> tuple[Inner, ep.Tensor]:
        """Step number ``step`` (n,), from 0, of a descent at the constants ``c`` (n,): the next state, success (n,)."""

    def objective(self, inner: Inner) -> ep.Tensor | None:
        """What the descent minimises, as of the last step, (n,); None where descents run to their end."""
        return None

    @property
    def condition(self) -> Criterion | None:
        """What a point must meet beyond the goal to count, such as a confidence."""
        return None

    def init(self, task: Task) -> Search[Inner]:
        constants = Constants.starting_at(self.initial_c, task.inputs)
        zeros = 0 * constants.c
        return Search(constants, self.start(task), zeros, zeros + 1, zeros + ep.inf, zeros + ep.inf, zeros)

    def step(self, task: Task, state: Search[Inner]) -> Search[Inner]:
        inner, success = self.descend(task, state.inner, state.constants.c, state.step)
        value, least = self.objective(inner), state.least
        if value is not None:
            least = ep.minimum(least, value)
        constants = state.constants.tried(success)
        state = replace(state, constants=constants, inner=inner, step=state.step + 1, least=least)
        steps = task.t + 1
        return (
            self._look(task, state) if steps % self.steps_between_looks == 0 and steps < self.planned_steps else state
        )

    def conclude(self, task: Task, state: Search[Inner]) -> None:
        task.evaluate(state.x, self.condition)

    @property
    def steps_between_looks(self) -> int:
        """Steps between looks at who is done: a tenth of a descent, or the next longer that divides it evenly."""
        return self.steps // max(looks for looks in range(1, 11) if self.steps % looks == 0)

    def _look(self, task: Task, state: Search[Inner]) -> Search[Inner]:
        """Start the next descent of the samples whose present one is over."""
        over = state.step >= self.steps
        # At the first look, and without an objective, infinity minus infinity compares as false.
        still = state.least > state.before - _LEAST_GAIN * state.before.abs()
        idle = ep.where(still, state.idle + 1, 0 * state.idle)
        over, state = ep.logical_or(over, idle >= self.idle_looks), replace(state, before=state.least, idle=idle)
        task.finish(ep.logical_and(over, state.descents >= self.search_steps))
        fresh = replace(self.init(task), constants=state.constants.next(), descents=state.descents + 1)
        merged: Search[Inner] = choose(raw(over), fresh, state)
        return merged
