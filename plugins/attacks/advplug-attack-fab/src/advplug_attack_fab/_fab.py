"""The fast adaptive boundary attack (Croce and Hein 2020, algorithm 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import eagerpy as ep

from advplug.attack import IterativeAttack, Task
from advplug.hyperparameters import AtLeast, Count, Fraction, Natural, Positive, Share
from advplug.losses import ClassGaps, Loss
from advplug.numerics import Boundary, per_sample, raw, size, wrap

RADIUS = {"linf": 0.3, "l2": 1.0, "l1": 5.0}
"""Of random starts that have no distance to go by, for bounds [0, 1]."""


class State(NamedTuple):
    """``x`` the current point (n, ...)."""

    x: ep.Tensor


@dataclass(frozen=True, kw_only=True)
class FAB(IterativeAttack[State]):
    """Fast adaptive boundary attack under Linf, L2 and L1.

    Every step goes to the nearest linearised boundary from the current point and a little from the input, then back
    towards the input where it has crossed the boundary. A loss must be zero on the boundary and negative beyond it;
    a loss of several values per sample has one boundary for each.

    Restarts after the first begin at a random point, at half the distance of the best one so far. With
    ``targets="each"`` and an untargeted threat model each run goes for one other class (FAB-T).

    Parameters
    ----------
    steps: number of steps; each takes a gradient, and a forward pass to see whether it has crossed the boundary.
    alpha_max: greatest weight of the step from the input.
    extrapolation: eta of the paper, factor by which both steps go beyond the boundary.
    beta: share of the distance from the input that is left after a crossing.
    bisections: steps of the final search between the best point and the input.
    radius: the most that random starts take for the distance; None for the budget, or without one 0.3 (Linf), 1 (L2)
        or 5 (L1) times the width of the bounds.
    """

    norms = ("linf", "l2", "l1")
    minimum_norm = True

    steps: Count = 100
    alpha_max: Share = 0.1
    extrapolation: Annotated[float, AtLeast(1)] = 1.05
    beta: Fraction = 0.9
    bisections: Natural = 3
    radius: Positive | None = None

    @property
    def default_loss(self) -> Loss:
        """The gaps to the nine likeliest other classes."""
        return ClassGaps()

    def init(self, task: Task) -> State:
        return State(task.start(random=False) if task.restart == 0 else self._random_point(task))

    def step(self, task: Task, state: State) -> State:
        clean, norm, bounds = task.inputs, task.threat.norm, task.threat.bounds
        q = task.query(state.x)
        boundary = Boundary.nearest(state.x, q.loss, q.gradient, norm, bounds if norm == "l1" else None)  # eq. 7
        d = boundary.step_from(state.x, norm, bounds)
        d_clean = boundary.step_from(clean, norm, bounds)
        reach, reach_clean = ep.maximum(size(d, norm), 1e-8), ep.maximum(size(d_clean, norm), 1e-8)
        alpha = per_sample(ep.minimum(reach / (reach + reach_clean), self.alpha_max), d)  # eq. 9
        eta = self.extrapolation
        x = task.clip((1 - alpha) * (state.x + eta * d) + alpha * (clean + eta * d_clean))  # eq. 8 and 10
        crossed = per_sample(task.evaluate(x).success, x)
        return State(ep.where(crossed, clean + self.beta * (x - clean), x))  # eq. 11

    def conclude(self, task: Task, state: State) -> None:
        """The final search: between the best point and the input by the rule of false position."""
        task.evaluate(state.x)
        if self.bisections == 0 or task.threat.epsilon is not None:
            return
        outer, inner = task.best, task.inputs
        beyond, before = least(task.evaluate(outer).loss), least(task.evaluate(inner).loss)
        for _ in range(self.bisections):
            share = (before / ep.maximum(before - beyond, 1e-12)).clip(0, 1)
            x = inner + per_sample(share, inner) * (outer - inner)
            q = task.evaluate(x)
            hit = per_sample(q.success, x)
            outer, inner = ep.where(hit, x, outer), ep.where(hit, inner, x)
            loss = least(q.loss)
            beyond, before = ep.where(q.success, loss, beyond), ep.where(q.success, before, loss)

    def _random_point(self, task: Task) -> ep.Tensor:
        """At half the distance of the best point so far, or of the radius, in a random direction."""
        norm, shape = task.threat.norm, task.inputs.shape[1:]
        u = 2 * task.noise.uniform(0, shape) - 1 if norm == "linf" else task.noise.normal(0, shape)[0]
        direction = wrap(u.to(raw(task.inputs)))
        length = self._reach(task) / (2 * size(direction, norm))
        return task.clip(task.inputs + per_sample(length, direction) * direction)

    def _reach(self, task: Task) -> ep.Tensor:
        """The distance that a random start takes for that of the boundary, (n,)."""
        budget = task.threat.epsilon is not None
        if budget and self.radius is None:
            return task.epsilon
        low, high = task.threat.bounds
        radius = RADIUS[task.threat.norm] * (high - low) if self.radius is None else self.radius
        return ep.full_like(task.best_cost, radius) if budget else ep.minimum(task.best_cost, radius)


def least(loss: ep.Tensor) -> ep.Tensor:
    """The loss of the likeliest other class, (n,), of losses (n,) or (n, M)."""
    return loss if loss.ndim == 1 else loss.min(1)
