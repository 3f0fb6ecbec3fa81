"""The Brendel & Bethge attack (Brendel et al. 2019, section 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import eagerpy as ep
import torch
from torch import Tensor

from advplug.attack import IterativeAttack, Task
from advplug.hyperparameters import AtLeast, Count, Natural, Positive, Share
from advplug.losses import Loss, Margin
from advplug.numerics import per_sample, raw, wrap
from advplug_attack_brendel_bethge._paths import Way
from advplug_attack_brendel_bethge._trust_region import nearest_step


class State(NamedTuple):
    """``x`` the current point, ``normal`` the mean gradient of the latest steps; (n, ...)."""

    x: ep.Tensor
    normal: ep.Tensor


@dataclass(frozen=True, kw_only=True)
class BrendelBethge(IterativeAttack[State]):
    """Follows the decision boundary to the point of it that is nearest to the input, under Linf, L2, L1 and L0.

    Each step takes the boundary for the hyperplane that the gradient of the loss says. It goes to the point of that
    plane that is nearest to the input and inside a trust region, which shrinks in the course of the search. A loss
    must be zero on the boundary and negative beyond it.

    The search begins where the way from the input to the given starting point crosses the boundary. Without one it
    begins at the input, from where the same steps lead to the boundary; restarts begin on the way to noise of another
    class instead.

    Parameters
    ----------
    steps: number of steps of one gradient each.
    overshoot: a step from the clean side goes this many times as far as the boundary, one from the other side ``2 -
        overshoot`` times.
    radius: of the first trust region under L2, as a share of the number of values times the width of the bounds; None
        for a tenth of the diagonal of the box, and under l0, where short steps cannot make a value clean, for all of
        it. In Foolbox it is a thousandth times the number of images.
    decay: factor of the radius after each of ``decays`` equal parts of the steps.
    decays: number of these parts.
    momentum: weight of the normal so far against the gradient of the present step.
    bisections: steps that find the boundary between the starting point and the input.
    starts: how often a restart tries noise.
    """

    norms = ("linf", "l2", "l1", "l0")
    minimum_norm = True

    steps: Count = 1000
    overshoot: Annotated[float, AtLeast(1)] = 1.1
    radius: Positive | None = None
    decay: Share = 0.5
    decays: Count = 20
    momentum: Share = 0.8
    bisections: Natural = 10
    starts: Natural = 4

    @property
    def default_loss(self) -> Loss:
        """The difference of logits, which is zero on the boundary."""
        return Margin()

    def init(self, task: Task) -> State:
        x = self._on_boundary(task, self._other_side(task))
        return State(x, ep.zeros_like(x))

    def step(self, task: Task, state: State) -> State:
        q = task.query(state.x)
        weight = self.momentum if task.t > 0 else 0.0
        normal = weight * state.normal + (1 - weight) * q.gradient
        reach = ep.where(q.loss > 0, self.overshoot, 2 - self.overshoot)
        clean, x, w = (raw(each).flatten(1).double() for each in (task.inputs, state.x, normal))
        way = Way(clean, x, task.threat.bounds, task.threat.norm)
        y = nearest_step(way, w, -raw(reach * q.loss).double(), self._radius(task, x))
        return State(task.clip(wrap(y.view_as(raw(state.x)).to(raw(state.x).dtype))), normal)

    def _radius(self, task: Task, x: Tensor) -> Tensor:
        """The radius (n,) of the present trust region."""
        values, width = x.shape[1], task.threat.bounds[1] - task.threat.bounds[0]
        share = self.radius
        if share is None:
            share = (1.0 if task.threat.norm == "l0" else 0.1) * values**-0.5
        part = task.t // max(1, self.steps // self.decays)
        return torch.full_like(x[:, 0], share * values * width * self.decay**part)

    def _other_side(self, task: Task) -> ep.Tensor:
        """The given point or the first noise that is adversarial, (n, ...); the input where none is."""
        found = task.inputs
        missing = task.labels == task.labels
        if task.starting_points is not None:
            found, missing = _first(task, found, missing, task.clip(task.starting_points))
        for number in range(self.starts if task.restart > 0 else 0):
            found, missing = _first(task, found, missing, _noise(task, number))
        return found

    def _on_boundary(self, task: Task, far: ep.Tensor) -> ep.Tensor:
        """The adversarial point (n, ...) nearest to the input on the way there from ``far``."""
        clean, start = (raw(each).flatten(1) for each in (task.inputs, far))
        inner, outer = torch.ones_like(start[:, :1]), torch.zeros_like(start[:, :1])
        still, reach = torch.zeros_like(start), (start - clean).abs().amax(1, keepdim=True)
        way, nearest = Way(clean, start, task.threat.bounds, task.threat.norm), far
        for _ in range(self.bisections):
            share = (inner + outer) / 2
            half, _ = way.stop(share, reach).pushed(still)
            x = task.clip(wrap(half.view_as(raw(far))))
            hit = task.evaluate(x).success
            nearest = ep.where(per_sample(hit, x), x, nearest)
            on_other_side = raw(hit)[:, None]
            inner, outer = torch.where(on_other_side, inner, share), torch.where(on_other_side, share, outer)
        return nearest


def _first(task: Task, found: ep.Tensor, missing: ep.Tensor, x: ep.Tensor) -> tuple[ep.Tensor, ep.Tensor]:
    """``found`` (n, ...) with ``x`` where it was ``missing``, bool (n,), and ``x`` is adversarial; what is missing."""
    new = ep.logical_and(missing, task.evaluate(x).success)
    return ep.where(per_sample(new, x), x, found), ep.logical_and(missing, ep.logical_not(new))


def _noise(task: Task, number: int) -> ep.Tensor:
    """Uniform noise between the bounds and noise of their two values, in turn; (n, ...)."""
    low, high = task.threat.bounds
    noise = task.noise.uniform(number, tuple(task.inputs.shape[1:])).to(raw(task.inputs))
    return task.clip(wrap(low + (high - low) * (noise.round() if number % 2 else noise)))
