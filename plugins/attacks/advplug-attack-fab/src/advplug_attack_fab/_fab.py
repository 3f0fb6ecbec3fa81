"""The fast adaptive boundary attack (Croce and Hein 2020, algorithm 1)."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import eagerpy as ep

from advplug.attack import IterativeAttack, Task
from advplug.errors import InvalidInput
from advplug.losses import ClassGaps, Loss
from advplug.numerics import Boundary, per_sample, size, wrap

RADIUS = {"linf": 0.3, "l2": 1.0, "l1": 5.0}
"""Of random starts that have no distance to go by, for bounds [0, 1]."""


class State(NamedTuple):
    """``x`` the current point (n, ...)."""

    x: ep.Tensor


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
    eta: factor by which both steps go beyond the boundary.
    beta: share of the distance from the input that is left after a crossing.
    search_steps: steps of the final search between the best point and the input.
    radius: the most that random starts take for the distance; None for the budget, or without one 0.3 (Linf), 1 (L2)
        or 5 (L1) times the width of the bounds.
    """

    norms: ClassVar[tuple[str, ...]] = ("linf", "l2", "l1")
    minimum_norm: ClassVar[bool] = True

    def __init__(
        self,
        *,
        steps: int = 100,
        alpha_max: float = 0.1,
        eta: float = 1.05,
        beta: float = 0.9,
        search_steps: int = 3,
        radius: float | None = None,
    ) -> None:
        if steps < 1 or search_steps < 0:
            raise InvalidInput(f"steps is {steps}, search_steps {search_steps}: give at least 1, and at least 0")
        if not 0 <= alpha_max <= 1 or not 0 < beta < 1:
            raise InvalidInput(f"alpha_max is {alpha_max}, beta {beta}: give shares, beta between 0 and 1")
        if not eta >= 1:
            raise InvalidInput(f"eta is {eta}: give a factor of 1 or more")
        if radius is not None and not radius > 0:
            raise InvalidInput(f"radius is {radius}: give a positive length, or None")
        self.steps = steps
        self.alpha_max = alpha_max
        self.eta = eta
        self.beta = beta
        self.search_steps = search_steps
        self.radius = radius

    @property
    def default_loss(self) -> Loss:
        """The gaps to the nine likeliest other classes."""
        return ClassGaps()

    def init(self, task: Task) -> State:
        return State(task.start(random=False) if task.restart == 0 else self._random_point(task))

    def step(self, task: Task, state: State) -> State:
        clean, norm, bounds = task.inputs, task.threat.norm, task.threat.bounds
        q = task.query(state.x)
        assert q.gradient is not None
        boundary = Boundary.nearest(state.x, q.loss, q.gradient, norm, bounds if norm == "l1" else None)  # eq. 7
        d = boundary.step_from(state.x, norm, bounds)
        d_clean = boundary.step_from(clean, norm, bounds)
        reach, reach_clean = ep.maximum(size(d, norm), 1e-8), ep.maximum(size(d_clean, norm), 1e-8)
        alpha = per_sample(ep.minimum(reach / (reach + reach_clean), self.alpha_max), d)  # eq. 9
        x = task.clip((1 - alpha) * (state.x + self.eta * d) + alpha * (clean + self.eta * d_clean))  # eq. 8 and 10
        crossed = per_sample(task.evaluate(x).success, x)
        return State(ep.where(crossed, clean + self.beta * (x - clean), x))  # eq. 11

    def conclude(self, task: Task, state: State) -> None:
        """The final search: between the best point and the input by the rule of false position."""
        task.evaluate(state.x)
        if self.search_steps == 0 or task.threat.epsilon is not None:
            return
        outer, inner = task.best, task.inputs
        beyond, before = task.evaluate(outer).loss, task.evaluate(inner).loss
        beyond, before = least(beyond), least(before)
        for _ in range(self.search_steps):
            share = (before / ep.maximum(before - beyond, 1e-12)).clip(0, 1)
            x = inner + per_sample(share, inner) * (outer - inner)
            q = task.evaluate(x)
            outer, inner = (
                ep.where(per_sample(q.success, x), x, outer),
                ep.where(per_sample(q.success, x), inner, x),
            )
            beyond, before = (
                ep.where(q.success, least(q.loss), beyond),
                ep.where(q.success, before, least(q.loss)),
            )

    def _random_point(self, task: Task) -> ep.Tensor:
        """At half the distance of the best point so far, or of the radius, in a random direction."""
        norm, bounds = task.threat.norm, task.threat.bounds
        if self.radius is None and task.threat.epsilon is not None:
            reach = wrap(task.epsilon)
        else:
            radius = RADIUS[norm] * (bounds[1] - bounds[0]) if self.radius is None else self.radius
            reach = ep.minimum(task.best_cost, radius) if task.threat.epsilon is None else 0 * task.best_cost + radius
        shape = task.inputs.shape[1:]
        u = 2 * task.noise.uniform(0, shape) - 1 if norm == "linf" else task.noise.normal(0, shape)[0]
        direction = wrap(u.to(task.inputs.raw))
        return task.clip(task.inputs + per_sample(reach / (2 * size(direction, norm)), direction) * direction)


def least(loss: ep.Tensor) -> ep.Tensor:
    """The loss of the likeliest other class, (n,), of losses (n,) or (n, M)."""
    return loss if loss.ndim == 1 else loss.min(1)
