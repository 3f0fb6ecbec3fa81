"""DeepFool (Moosavi-Dezfooli et al. 2016, algorithm 2; Linf from their eq. 10 and 11)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import eagerpy as ep

from advplug.attack import IterativeAttack, Task
from advplug.hyperparameters import Count, NonNegative, Positive
from advplug.losses import ClassGaps, Loss
from advplug.numerics import Boundary, per_sample, size

EXTRA = 1e-5
"""Added to the length of each step, as a share of the width of the bounds: else the steps may shrink to nothing before
the boundary where values at the bounds stand in the way (the authors' code adds 1e-4)."""


class State(NamedTuple):
    """``r`` the sum of the steps, ``x`` the point beyond the boundary by the overshoot, both (n, ...)."""

    x: ep.Tensor
    r: ep.Tensor


@dataclass(frozen=True, kw_only=True)
class DeepFool(IterativeAttack[State]):
    """DeepFool under L2 and Linf: to the nearest linearised boundary, again and again until the class changes.

    The first adversarial point of a sample ends its search. A loss of several values per sample has one boundary for
    each; one of a single value must be zero on the boundary.

    Parameters
    ----------
    steps: the most steps that a sample takes.
    overshoot: share by which the sum of the steps goes beyond the boundary.
    box: take the least steps that stay within the bounds. If False, steps are those of the paper, and what leaves the
        bounds is cut off: nearer on networks as a rule, though not on linear models under linf.
    longest_step: the greatest length of a step, for models whose gradients say little from afar, such as robust ones;
        None leaves the length free.
    """

    norms = ("l2", "linf")
    minimum_norm = True

    steps: Count = 50
    overshoot: NonNegative = 0.02
    box: bool = False
    longest_step: Positive | None = None

    @property
    def default_loss(self) -> Loss:
        """The gaps to the nine likeliest other classes."""
        return ClassGaps()

    def init(self, task: Task) -> State:
        x = task.start(random=False)
        return State(x, x - task.inputs)

    def step(self, task: Task, state: State) -> State:
        norm = task.threat.norm
        q = task.query(state.x)
        task.finish(q.success)
        boundary = Boundary.nearest(state.x, q.loss, q.gradient, norm)
        boundary = boundary._replace(gap=boundary.gap.abs())  # down the gradient until the class changes
        step = boundary.step_from(state.x, norm, task.threat.bounds) if self.box else unbounded_step(boundary, norm)
        length = ep.maximum(size(step, norm), 1e-12)
        wanted = length + EXTRA * (task.threat.bounds[1] - task.threat.bounds[0])
        if self.longest_step is not None:
            wanted = ep.minimum(wanted, self.longest_step)
        step = step * per_sample(wanted / length, step)
        r = (state.x - task.inputs if self.box else state.r) + step
        return State(task.clip(task.inputs + (1 + self.overshoot) * r), r)


def unbounded_step(boundary: Boundary, norm: str) -> ep.Tensor:
    """The step (n, ...) of the paper's eq. 9 and 11, ``-f |w|^(q-1) sign(w) / ||w||_q^q`` with q = 2 or 1."""
    w = boundary.w
    direction = w if norm == "l2" else w.sign()
    return -per_sample(boundary.gap / ep.maximum((w * direction).flatten(1).sum(1), 1e-30), w) * direction
