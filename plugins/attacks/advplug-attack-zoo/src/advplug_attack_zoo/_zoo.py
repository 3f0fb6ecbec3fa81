"""Zeroth-order optimisation (Chen et al. 2017, algorithms 1 to 3)."""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple, get_args

import eagerpy as ep
import torch
from torch import Tensor

from advplug.attack import Task
from advplug.errors import InvalidInput
from advplug.families import ConstantSearchAttack
from advplug.losses import LogMargin, Loss
from advplug.numerics import raw, wrap
from advplug_attack_zoo._box import Box, TanhVariable
from advplug_attack_zoo._grids import Grids
from advplug_attack_zoo._slopes import At, Slopes, loss_slopes
from advplug_attack_zoo._solvers import Moments, newton_step
from advplug_attack_zoo._space import Space, Values, drawn

Solver = Literal["adam", "newton", "adam-newton"]

OVERSHOOT = 0.3
"""Share of a descent whose successes are kept, but do not lower the weight."""


class Descent(NamedTuple):
    """Of each sample: ``x`` the current point and ``change``, the variable that leads to it, both (n, ...).

    ``past``: what Adam remembers; ``value`` (n,) the objective at the point before; ``found`` (n,): a success yet.
    """

    x: ep.Tensor
    change: ep.Tensor
    past: Moments
    value: ep.Tensor
    found: ep.Tensor


class ZOO(ConstantSearchAttack[Descent]):
    """Minimise ``||x - x0||_2^2 + c f(x)`` by steps along random coordinates, from scores alone.

    Finite differences give the slopes of the loss, at ``2 coordinates + 1`` queries in an iteration; those of the
    distance are known.
    Distances, steps and ``h`` are in widths of the bounds.

    Parameters
    ----------
    solver: ``adam``; ``newton``, which divides slope by curvature; or ``adam-newton``: Newton where that is positive.
    search_steps: weights c tried for each sample.
    iterations: iterations for each weight.
    coordinates: estimated and updated in one iteration; 128 in the paper.
    eta: size of a step; with ``last_eta`` that of the first, from which it falls to that over a descent. The paper
        keeps it; falling, it takes far fewer iterations to come as near.
    h: distance of the queries from the current point. 1e-4 in the paper, where float32 scores drown in rounding.
    initial_c: first weight of the loss.
    tanh: search in the variable w of ``x = tanh(w)``, rather than cut x to the bounds. With values at the bounds,
        such as black pixels, the tanh makes slopes small there.
    space: side of the grid, scaled up bilinearly to the image, whose values are searched; None for all values.
    schedule: pairs (iteration, side): larger grids to go on with from that iteration of a descent.
    importance: from the second grid on draw coordinates where the change is large; else all alike.
    adam_reset: begin Adam anew at the first success of a descent.
    beta1, beta2: shares that Adam's means keep.
    patience: a descent ends when its objective did not fall for so many iterations, or for the next larger number
        that divides ``iterations``; None for never.

    Raises
    ------
    InvalidInput: a setting out of its range, or a ``space`` for inputs that are not images of its size.
    """

    norms: ClassVar[tuple[str, ...]] = ("l2",)
    idle_looks: ClassVar[int] = 1

    def __init__(
        self,
        *,
        solver: Solver = "adam",
        search_steps: int = 9,
        iterations: int = 1000,
        coordinates: int = 128,
        eta: float = 0.01,
        last_eta: float | None = None,
        h: float = 1e-2,
        initial_c: float = 0.01,
        tanh: bool = False,
        space: int | None = None,
        schedule: tuple[tuple[int, int], ...] = (),
        importance: bool = True,
        adam_reset: bool = True,
        beta1: float = 0.9,
        beta2: float = 0.999,
        patience: int | None = 100,
    ) -> None:
        if solver not in get_args(Solver):
            raise InvalidInput(f"solver {solver!r}: choose one of {', '.join(get_args(Solver))}")
        if min(search_steps, iterations, coordinates) < 1:
            raise InvalidInput(
                f"search_steps {search_steps}, iterations {iterations}, coordinates {coordinates}: "
                "give at least 1 of each"
            )
        if not (eta > 0 and (last_eta is None or last_eta > 0)):
            raise InvalidInput(f"eta {eta}, last_eta {last_eta}: give positive numbers")
        if not (initial_c > 0 and 0 < h <= 0.25):
            raise InvalidInput(f"initial_c {initial_c}, h {h}: give positive numbers, h at most 0.25")
        if not (0 <= beta1 < 1 and 0 <= beta2 < 1):
            raise InvalidInput(f"beta1 {beta1}, beta2 {beta2}: give shares in [0, 1)")
        if patience is not None and patience < 1:
            raise InvalidInput(f"patience {patience}: give at least 1 iteration, or None")
        _check_sides(space, schedule)
        self.solver = solver
        self.search_steps = search_steps
        self.iterations = iterations
        self.coordinates = coordinates
        self.eta = eta
        self.last_eta = last_eta
        self.h = h
        self.initial_c = initial_c
        self.tanh = tanh
        self.space = space
        self.schedule = schedule
        self.importance = importance
        self.adam_reset = adam_reset
        self.beta1 = beta1
        self.beta2 = beta2
        self.patience = patience

    @property
    def default_loss(self) -> Loss:
        """The difference of log probabilities, zero from the boundary on."""
        return LogMargin(kappa=0.0)

    def start(self, task: Task) -> Descent:
        x, zeros = task.inputs, 0 * task.inputs.flatten(1)[:, 0]
        return Descent(x, ep.zeros_like(x), Moments.none(x, self._coordinates(task).size), zeros, zeros < 0)

    def descend(self, task: Task, inner: Descent, c: ep.Tensor, step: ep.Tensor) -> tuple[Descent, ep.Tensor]:
        box, space = (TanhVariable if self.tanh else Box).of(task), self._coordinates(task)
        x, change = inner.x, inner.change
        q = task.evaluate(x)
        value = ((x - task.inputs) / box.width).flatten(1).square().sum(1) + c * q.loss.astype(x.dtype)
        stage = self._stage(step)
        past = inner.past.forgotten(self._begins_anew(inner, q.success, step))

        weights = space.weights(stage, raw(change), importance=self.importance)
        uniform = task.noise.uniform(task.t, (space.size,))
        chosen = drawn(weights, uniform, min(self.coordinates, space.fewest))
        at = At(x, change, q.loss, chosen, stage)
        total = self._total(box, space, at, loss_slopes(task, box, space, at, self.h), c)
        past, steps = self._steps(past, chosen, total)

        change = box.kept(change + wrap(space.spread(stage, chosen, self._eta(raw(step)[:, None]) * steps)))
        found = ep.logical_or(inner.found, q.success)
        # The first steps may cross the boundary at any weight: that says nothing of this one.
        success = ep.logical_and(q.success, step >= OVERSHOOT * self.iterations)
        return Descent(box.moved(change), change, past, value, found), success

    def objective(self, inner: Descent) -> ep.Tensor | None:
        return None if self.patience is None else inner.value

    @property
    def _between_looks(self) -> int:
        """The patience, or the next longer that divides a descent evenly."""
        shortest = min(self.patience or self.iterations, self.iterations)
        return next(steps for steps in range(shortest, self.iterations + 1) if self.iterations % steps == 0)

    def _total(self, box: Box, space: Space, at: At, loss: Slopes, c: ep.Tensor) -> Slopes:
        """Slopes of the whole objective: those of the distance are known."""
        slope, bend = (raw(part) for part in box.distance(at.x))
        weight = raw(c)[:, None]
        return Slopes(
            space.along(at.stage, at.coordinates, slope) + weight * loss.slope,
            space.along(at.stage, at.coordinates, bend, squared=True) + weight * loss.curvature,
        )

    def _eta(self, step: Tensor) -> Tensor:
        """The size of a step, like ``step``."""
        last = self.eta if self.last_eta is None else self.last_eta
        return self.eta + (last - self.eta) * step / self.iterations

    def _steps(self, past: Moments, chosen: Tensor, total: Slopes) -> tuple[Moments, Tensor]:
        """Steps of size 1 (n, B) along the chosen coordinates, and what Adam remembers."""
        newton = newton_step(total)
        if self.solver == "newton":
            return past, newton
        past, adam = past.stepped(chosen, total.slope, (self.beta1, self.beta2))
        return past, torch.where(total.curvature > 0, newton, adam) if self.solver == "adam-newton" else adam

    def _begins_anew(self, inner: Descent, success: ep.Tensor, step: ep.Tensor) -> ep.Tensor:
        """Where Adam forgets its past, bool (n,): where a larger grid begins, and at the first success."""
        now = step < 0
        for iteration, _ in self.schedule:
            now = ep.logical_or(now, step == iteration)
        first = ep.logical_and(success, ep.logical_not(inner.found))
        return ep.logical_or(now, first) if self.adam_reset else now

    def _stage(self, step: ep.Tensor) -> Tensor:
        """Which grid each sample is at, int64 (n,)."""
        starts = raw(step).new_tensor([iteration for iteration, _ in self.schedule])
        return (raw(step)[:, None] >= starts).sum(1)

    def _coordinates(self, task: Task) -> Space:
        if self.space is None:
            return Values(raw(task.inputs).shape[1:])
        return Grids.of(raw(task.inputs), (self.space, *(side for _, side in self.schedule)))


def _check_sides(space: int | None, schedule: tuple[tuple[int, int], ...]) -> None:
    if space is None and schedule:
        raise InvalidInput("schedule needs a space to begin with: give its side, such as 32")
    if space is None:
        return
    steps, sides = [0, *(step for step, _ in schedule)], [space, *(side for _, side in schedule)]
    if space < 1 or steps != sorted(set(steps)) or sides != sorted(set(sides)):
        raise InvalidInput(f"space {space}, schedule {schedule}: give pairs (iteration, side), both rising from 1 on")
