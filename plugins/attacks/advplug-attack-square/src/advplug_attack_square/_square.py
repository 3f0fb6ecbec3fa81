"""Square Attack (Andriushchenko et al. 2020, algorithms 1 to 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import eagerpy as ep

from advplug.attack import IterativeAttack, Task
from advplug.errors import InvalidInput
from advplug.hyperparameters import AtLeast, Count, PositiveShare
from advplug.losses import CrossEntropy, Loss, Margin, View
from advplug.numerics import per_sample
from advplug_attack_square._l2 import moved_mass, tiles
from advplug_attack_square._linf import recoloured, stripes

SHRINKS_AT = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""When p is halved, for 10,000 queries."""


@dataclass(frozen=True)
class MarginOrCrossEntropy(Loss):
    """The margin without targets, cross-entropy with them: what the paper takes for each goal."""

    def __call__(self, view: View) -> ep.Tensor:
        return Margin()(view) if view.targets is None else CrossEntropy()(view)


class State(NamedTuple):
    """``x`` the best point so far (n, ...), ``loss`` what it has, (n,)."""

    x: ep.Tensor
    loss: ep.Tensor


@dataclass(frozen=True, kw_only=True)
class Square(IterativeAttack[State]):
    """Random search: change one window at a random place, keep the change where the loss falls. Needs no gradient.

    The last two dimensions are rows and columns, what is before them are channels; a vector is one row. Each sample
    has its own places and signs.

    Parameters
    ----------
    queries: evaluations of each sample, the first one included.
    p_init: share of the image that the first windows cover; it is halved on a schedule that ``queries`` stretches.
    proposals: windows that are tried on a sample at once, of which the best is kept; 1 is the paper's. More take less
        time where samples alone do not fill the device, and as many queries.
    """

    norms = ("linf", "l2")

    queries: Annotated[int, AtLeast(2)] = 5000
    p_init: PositiveShare = 0.8
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

    def init(self, task: Task) -> State:
        if task.starting_points is not None:
            x = task.start(random=False)
        else:
            x = stripes(task) if task.threat.norm == "linf" else tiles(task)
        return State(x, task.evaluate(x).loss)

    def step(self, task: Task, state: State) -> State:
        propose = recoloured if task.threat.norm == "linf" else moved_mass
        p = self.share(task.t * self.proposals)
        x, loss = task.evaluate_best(propose(task, state.x, p, self.proposals))
        better = loss < state.loss
        return State(ep.where(per_sample(better, x), x, state.x), ep.where(better, loss, state.loss))

    def conclude(self, task: Task, state: State) -> None:
        """Nothing: every point was evaluated when it was proposed."""

    def share(self, tried: int) -> float:
        """The share p of the image that the next window covers, after so many windows."""
        halvings = sum(10_000 * tried // self.queries > at for at in SHRINKS_AT)
        return self.p_init * 0.5**halvings
