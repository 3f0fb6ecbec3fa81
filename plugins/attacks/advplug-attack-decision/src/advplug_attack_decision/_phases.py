"""Searches that learn from single decisions: each sample asks one at a time, wherever in its algorithm it is.

One sample bisects while another estimates a direction. Each query of the batch is thus of use to every sample in it,
and what a sample does depends on its own answers alone, never on how long another one takes.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Generic, NamedTuple, Protocol, TypeVar

import eagerpy as ep
from torch import Tensor

from advplug.attack import IterativeAttack, Task
from advplug.hyperparameters import Count
from advplug.numerics import choose, raw, wrap


class HasPhase(Protocol):
    """``phase`` int64 (n,) says which of the attack's phases each sample is in; ``x`` (n, ...) is where it is."""

    @property
    def phase(self) -> Tensor: ...

    @property
    def x(self) -> ep.Tensor: ...


S = TypeVar("S", bound=HasPhase)
T = TypeVar("T")


class Phase(NamedTuple, Generic[S]):
    """One query and what follows from its answer.

    ``ask(task, state)`` is the point (n, ...) to ask about. ``tell(task, state, x, success)`` is the state after the
    decision ``success``, bool (n,), about the point ``x``, which is the one asked for, cut to what is valid. Both
    compute rows for the whole batch; those of samples in this phase count.
    """

    ask: Callable[[Task, S], Tensor]
    tell: Callable[[Task, S, Tensor, Tensor], S]


class DecisionAttack(IterativeAttack[S]):
    """An attack that sees only whether points succeed, one query of each sample in each step."""

    minimum_norm = True

    queries: Count

    @property
    def planned_steps(self) -> int:
        """Steps of one query each."""
        return self.queries

    @property
    @abstractmethod
    def phases(self) -> tuple[Phase[S], ...]:
        """The phases, by the numbers that the state gives them."""

    def step(self, task: Task, state: S) -> S:
        places = [(phase, state.phase == number) for number, phase in enumerate(self.phases)]
        present = [(phase, here) for phase, here in places if bool(here.any())]
        x = raw(state.x)
        for phase, here in present:
            x = on(here, partial(phase.ask, task, state), x)
        asked = task.clip(wrap(x.to(raw(state.x).dtype)))
        success = raw(task.evaluate(asked).success)
        after = state
        for phase, here in present:
            after = on(here, partial(phase.tell, task, state, raw(asked), success), after)
        return after

    def conclude(self, task: Task, state: S) -> None:
        """Nothing: every point was evaluated when it was asked about."""


def on(rows: Tensor, then: Callable[[], T], other: T) -> T:
    """``then()`` in the given ``rows``, bool (n,), and ``other`` in the rest; nothing is computed for no row.

    Both are tensors, or states that hold some.
    """
    if not bool(rows.any()):
        return other
    made: T = then() if bool(rows.all()) else choose(rows, then(), other)
    return made
