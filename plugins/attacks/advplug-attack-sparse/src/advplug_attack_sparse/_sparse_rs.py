"""Sparse-RS under L0 (Croce et al. 2022, algorithms 1 and 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import eagerpy as ep
import torch
from torch import Tensor

from advplug.attack import IterativeAttack, Task
from advplug.errors import InvalidInput
from advplug.hyperparameters import AtLeast, Count, PositiveShare
from advplug.losses import Loss
from advplug.numerics import per_sample, raw, wrap
from advplug_attack_sparse._losses import MarginOrCrossEntropy
from advplug_attack_sparse._units import SparseAttack, lowest

START = -3
"""Step of the random numbers of the start, kept apart from those of the steps 0, 1, ..."""

DIVISORS = {0: 2, 50: 4, 200: 5, 500: 6, 1000: 8, 2000: 10, 4000: 12, 6000: 15, 8000: 20}
"""After how many of 10,000 queries the share of units that move is divided by what."""


class State(NamedTuple):
    """``x`` the best point so far (n, ...), ``loss`` what it has, (n,)."""

    x: ep.Tensor
    loss: ep.Tensor


@dataclass(frozen=True, kw_only=True)
class SparseRS(SparseAttack, IterativeAttack[State]):
    """Random search for the units to change: give some back, send others to the ends of their range. No gradient.

    Each sample has its own units and ends. A budget of k values allows k // C pixels of C channels.

    Parameters
    ----------
    queries: evaluations of each sample, the first one included; 10000 in the paper.
    alpha_init: share of the changed units that a step exchanges at first; it falls on a schedule that ``queries``
        stretches.
    proposals: exchanges that are tried on a sample at once, of which the best is kept; 1 is the paper's. More take less
        time where samples alone do not fill the device, and as many queries.
    """

    norms = ("l0",)

    queries: Annotated[int, AtLeast(2)] = 5000
    alpha_init: PositiveShare = 0.3
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
        x = task.start(random=False)
        if task.starting_points is None:
            x = self.exchanged(task, x, 0.0, START, 1)[0]
        task.finish(wrap(self.units_in_budget(task) < 1))
        return State(x, task.evaluate(x).loss)

    def step(self, task: Task, state: State) -> State:
        share = self.share(task.t * self.proposals)
        x, loss = task.evaluate_best(self.exchanged(task, state.x, share, task.t, self.proposals))
        better = loss < state.loss
        return State(ep.where(per_sample(better, x), x, state.x), ep.where(better, loss, state.loss))

    def conclude(self, task: Task, state: State) -> None:
        """Nothing: every point was evaluated when it was proposed."""

    def share(self, tried: int) -> float:
        """The share alpha of the changed units that the next step exchanges, after so many proposals."""
        now = 10_000 * (tried + 1) / self.queries
        return self.alpha_init / max((divisor for at, divisor in DIVISORS.items() if now > at), default=1)

    def exchanged(self, task: Task, x: ep.Tensor, share: float, step: int, proposals: int) -> ep.Tensor:
        """Proposals (proposals, n, ...) for ``x`` (n, ...): a share of the changed units comes back, others go.

        As many go as the budget has room for, so that all proposals use the whole of it.
        """
        changed, free = raw(self.changed(task, x)), raw(self.free(task))
        k = self.units_in_budget(task)
        count = (share * k).floor().clamp(min=1)
        random = task.noise.uniform(step, (proposals, changed.shape[1] + x[0].raw.numel())).transpose(0, 1)
        points = []
        for key, ends in (one.split([changed.shape[1], x[0].raw.numel()], 1) for one in random):
            back = lowest(key.masked_fill(~changed, torch.inf), count)
            kept = changed & ~back
            last = key + back  # what came back goes again only where nothing else is left
            gone = lowest(last.masked_fill(~free | kept, torch.inf), k - kept.sum(1))
            moved = ep.where(self.spread(wrap(back), x), task.inputs, x)
            points.append(ep.where(self.spread(wrap(gone), x), self.at_ends(task, ends), moved))
        return ep.stack(points)

    def at_ends(self, task: Task, random: Tensor) -> ep.Tensor:
        """Each value at an end of its range, (n, ...), by ``random`` (n, d) on [0, 1); no unit as in the input."""
        up = wrap((random < 0.5).view_as(raw(task.inputs)))
        same = self.sums((ep.where(up, task.upper, task.lower) - task.inputs).abs()) == 0
        return ep.where(up != self.spread(same, up), task.upper, task.lower)
