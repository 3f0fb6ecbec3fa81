"""The voting folded Gaussian attack (Hajri et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass

import eagerpy as ep
import torch

from advplug.attack import IterativeAttack, Point, Task
from advplug.hyperparameters import Count
from advplug.losses import Loss, Margin
from advplug.numerics import raw, wrap
from advplug_attack_sparse._units import SparseAttack, room


@dataclass(frozen=True, kw_only=True)
class VFGA(SparseAttack, IterativeAttack[Point]):
    """Change one value more in each step: the one that promises most, by the length that proves best of several.

    The lengths are folded normal deviates, as wide as the value has room. Of all ways up and down the one of least loss
    is kept. The first adversarial point of a sample ends its search.

    Parameters
    ----------
    steps: the most units that change; the paper goes on until all have.
    samples: lengths that are tried upwards, and as many downwards.
    """

    norms = ("l0",)
    minimum_norm = True

    steps: Count = 500
    samples: Count = 10

    @property
    def default_loss(self) -> Loss:
        """The margin: it has a gradient where the probability of the paper is 1 to the last digit."""
        return Margin()

    def init(self, task: Task) -> Point:
        self.check_channels(task)
        return Point(task.start(random=False))

    def step(self, task: Task, state: Point) -> Point:
        x, q = state.x, task.query(state.x)
        fall, rise = room(task, x)
        fresh = ep.logical_not(self.changed(task, x))
        left = ep.logical_and(fresh, self.free(task)).sum(1)
        up = rise * self.most_promising(-q.gradient * rise, fresh)
        down = -fall * self.most_promising(q.gradient * fall, fresh)
        points = [task.clip(x + way * length) for way in (up, down) for length in self.lengths(task, x, way is down)]
        x = task.evaluate_best(ep.stack(points))[0]
        task.finish(ep.logical_or(ep.logical_or(q.success, left == 0), self.beaten(task, x)))
        return Point(x)

    def most_promising(self, gain: ep.Tensor, fresh: ep.Tensor) -> ep.Tensor:
        """1 at the fresh unit of largest ``gain`` (n, ...), 0 elsewhere."""
        units = raw(self.sums(gain)).masked_fill(~raw(fresh), -torch.inf)
        chosen = torch.zeros_like(units).scatter(1, units.argmax(1, keepdim=True), 1)
        return self.spread(wrap(chosen), gain)

    def lengths(self, task: Task, x: ep.Tensor, further: bool) -> ep.Tensor:
        """Folded normal deviates (samples, n, ...) that broadcast to ``x``, one for each channel of a pixel.

        ``further`` for others of the same step.
        """
        channels = x.shape[1] if self.pixels else 1
        first = self.samples if further else 0
        drawn = task.noise.normal(task.t, (channels,), draws=self.samples, first_draw=first).abs().to(raw(x))
        return wrap(drawn.view(*drawn.shape, *(1,) * (x.ndim - 2)))
