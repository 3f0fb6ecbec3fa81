"""Sparse-RS under L0 (Croce et al. 2022, algorithms 1 and 2)."""

from __future__ import annotations

from dataclasses import dataclass

import eagerpy as ep
import torch
from torch import Tensor

from advplug.attack import Task
from advplug.families import START, RandomSearch
from advplug.hyperparameters import PositiveShare
from advplug.numerics import raw, wrap
from advplug_attack_sparse._units import SparseAttack, lowest

DIVISORS = {0: 2, 50: 4, 200: 5, 500: 6, 1000: 8, 2000: 10, 4000: 12, 6000: 15, 8000: 20}
"""After how many of 10,000 queries the share of units that move is divided by what."""


@dataclass(frozen=True, kw_only=True)
class SparseRS(SparseAttack, RandomSearch):
    """Random search for the units to change: give some back, send others to the ends of their range. No gradient.

    Each sample has its own units and ends. A budget of k values allows k // C pixels of C channels.

    Parameters
    ----------
    queries: evaluations of each sample, the first one included; 10000 in the paper.
    alpha_init: share of the changed units that a step exchanges at first; it falls on a schedule that ``queries``
        stretches.
    proposals: exchanges that are tried on a sample at once, of which the best is kept; 1 is the paper's. More take less
        time where samples alone do not fill the device, and as many queries.
    patience: give up samples whose margin falls too slowly to reach zero, see :class:`advplug.families.RandomSearch`;
        None, as in the paper, for never.
    """

    norms = ("l0",)

    alpha_init: PositiveShare = 0.3

    def first(self, task: Task) -> ep.Tensor:
        task.finish(wrap(self.units_in_budget(task) < 1))
        x = task.start(random=False)
        return x if task.starting_points is not None else self.exchanged(task, x, 0.0, START, 1)[0]

    def proposed(self, task: Task, x: ep.Tensor, tried: int) -> ep.Tensor:
        return self.exchanged(task, x, self.share(tried), task.t, self.proposals)

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
