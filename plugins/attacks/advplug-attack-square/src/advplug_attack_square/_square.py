"""Square Attack (Andriushchenko et al. 2020, algorithms 1 to 3)."""

from __future__ import annotations

from dataclasses import dataclass

import eagerpy as ep

from advplug.attack import Task
from advplug.families import RandomSearch
from advplug.hyperparameters import PositiveShare
from advplug_attack_square._l2 import moved_mass, tiles
from advplug_attack_square._linf import recoloured, stripes

SHRINKS_AT = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""When p is halved, for 10,000 queries."""


@dataclass(frozen=True, kw_only=True)
class Square(RandomSearch):
    """Random search: change one window at a random place, keep the change where the loss falls. Needs no gradient.

    The last two dimensions are rows and columns, what is before them are channels; a vector is one row. Each sample
    has its own places and signs.

    Parameters
    ----------
    queries: evaluations of each sample, the first one included; 10000 in the paper.
    p_init: share of the image that the first windows cover; it is halved on a schedule that ``queries`` stretches.
    proposals: windows that are tried on a sample at once, of which the best is kept; 1 is the paper's. More take less
        time where samples alone do not fill the device, and as many queries.
    patience: give up samples whose margin falls too slowly to reach zero, see :class:`advplug.families.RandomSearch`;
        None, as in the paper, for never.
    """

    norms = ("linf", "l2")

    p_init: PositiveShare = 0.8

    def first(self, task: Task) -> ep.Tensor:
        if task.starting_points is not None:
            return task.start(random=False)
        return stripes(task) if task.threat.norm == "linf" else tiles(task)

    def proposed(self, task: Task, x: ep.Tensor, tried: int) -> ep.Tensor:
        propose = recoloured if task.threat.norm == "linf" else moved_mass
        return propose(task, x, self.share(tried), self.proposals)

    def share(self, tried: int) -> float:
        """The share p of the image that the next window covers, after so many windows."""
        halvings = sum(10_000 * tried // self.queries > at for at in SHRINKS_AT)
        return self.p_init * 0.5**halvings
