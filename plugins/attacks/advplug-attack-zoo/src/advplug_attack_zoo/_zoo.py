"""Zeroth-order optimisation (Chen et al. 2017, algorithms 1 to 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import eagerpy as ep
import torch
from torch import Tensor

from advplug.attack import Task
from advplug.errors import InvalidInput
from advplug.families import ConstantSearchAttack
from advplug.hyperparameters import Count, Decay, Interval, Positive
from advplug.losses import LogMargin, Loss
from advplug.numerics import raw, wrap
from advplug_attack_zoo._box import Box, TanhVariable
from advplug_attack_zoo._grids import Grids
from advplug_attack_zoo._slopes import At, Slopes, loss_slopes
from advplug_attack_zoo._solvers import Moments, newton_step
from advplug_attack_zoo._space import Space, Values, drawn

Solver = Literal["adam", "newton", "adam-newton"]

OVERSHOOT = 0.3
"""Share of a descent whose successes are kept, but do not lower the constant."""


class Descent(NamedTuple):
    """Of each sample: ``x`` the current point and ``change``, the variable that leads to it, both (n, ...).

    ``past``: what Adam remembers; ``value`` (n,) the objective at the point before; ``found`` (n,): a success yet.
    """

    x: ep.Tensor
    change: ep.Tensor
    past: Moments
    value: ep.Tensor
    found: ep.Tensor


@dataclass(frozen=True, kw_only=True)
class ZOO(ConstantSearchAttack[Descent]):
    """Minimise ``||x - x0||_2^2 + c f(x)`` by steps along random coordinates, from scores alone.

    Finite differences give the slopes of the loss, at ``2 coordinates + 1`` queries in a step; those of the distance
    are known. Distances, steps and ``h`` are in widths of the bounds.

    Parameters
    ----------
    solver: ``adam``; ``newton``, which divides slope by curvature; or ``adam-newton``: Newton where that is positive.
    search_steps: constants c tried for each sample.
    steps: steps for each constant.
    coordinates: estimated and updated in one step; 128 in the paper.
    step_size: size of a step, eta in the paper; with ``final_step_size`` that of the first, from which it falls to that
        over a descent. The paper keeps it; falling, it takes far fewer steps to come as near.
    h: distance of the queries from the current point. 1e-4 in the paper, where float32 scores drown in rounding.
    initial_c: first constant of the loss.
    tanh: search in the variable w of ``x = tanh(w)``, rather than cut x to the bounds. With values at the bounds,
        such as black pixels, the tanh makes slopes small there.
    space: side of the grid, scaled up bilinearly to the image, whose values are searched; None for all values.
    schedule: pairs (step, side): larger grids to go on with from that step of a descent.
    importance: from the second grid on draw coordinates where the change is large; else all alike.
    adam_reset: begin Adam anew at the first success of a descent.
    beta1, beta2: shares that Adam's means keep.
    patience: a descent ends when its objective did not fall for so many steps, or for the next larger number that
        divides ``steps``; None for never.
    """

    norms = ("l2",)
    idle_looks = 1

    solver: Solver = "adam"
    search_steps: Count = 9
    steps: Count = 1000
    coordinates: Count = 128
    step_size: Positive = 0.01
    final_step_size: Positive | None = None
    h: Annotated[float, Interval(0, 0.25, "high")] = 1e-2
    initial_c: Positive = 0.01
    tanh: bool = False
    space: Count | None = None
    schedule: tuple[tuple[int, int], ...] = ()
    importance: bool = True
    adam_reset: bool = True
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    patience: Count | None = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_sides(self.space, self.schedule)

    @classmethod
    def search_space(cls) -> None:
        """Not searched for: one of its steps takes as many queries as a whole trial."""
        return

    @property
    def default_loss(self) -> Loss:
        """The difference of log probabilities, zero from the boundary on."""
        return LogMargin(confidence=0.0)

    def start(self, task: Task) -> Descent:
        x, zeros = task.inputs, ep.zeros_like(task.inputs.flatten(1)[:, 0])
        past = Moments.none(x, self._coordinates(task).size)
        return Descent(x, change=ep.zeros_like(x), past=past, value=zeros, found=zeros < 0)

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

        change = box.kept(change + wrap(space.spread(stage, chosen, self._step_size_at(raw(step)[:, None]) * steps)))
        found = ep.logical_or(inner.found, q.success)
        # The first steps may cross the boundary at any constant: that says nothing of this one.
        success = ep.logical_and(q.success, step >= OVERSHOOT * self.steps)
        return Descent(box.moved(change), change, past, value, found), success

    def objective(self, inner: Descent) -> ep.Tensor | None:
        return None if self.patience is None else inner.value

    @property
    def steps_between_looks(self) -> int:
        """The patience, or the next longer that divides a descent evenly."""
        shortest = min(self.patience or self.steps, self.steps)
        return next(steps for steps in range(shortest, self.steps + 1) if self.steps % steps == 0)

    def _total(self, box: Box, space: Space, at: At, loss: Slopes, c: ep.Tensor) -> Slopes:
        """Slopes of the whole objective: those of the distance are known."""
        slope, bend = (raw(part) for part in box.distance(at.x))
        weight = raw(c)[:, None]
        return Slopes(
            space.along(at.stage, at.coordinates, slope) + weight * loss.slope,
            space.along(at.stage, at.coordinates, bend, squared=True) + weight * loss.curvature,
        )

    def _step_size_at(self, step: Tensor) -> Tensor:
        """That of each step number, like ``step``."""
        last = self.step_size if self.final_step_size is None else self.final_step_size
        return self.step_size + (last - self.step_size) * step / self.steps

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
        for begin, _ in self.schedule:
            now = ep.logical_or(now, step == begin)
        first = ep.logical_and(success, ep.logical_not(inner.found))
        return ep.logical_or(now, first) if self.adam_reset else now

    def _stage(self, step: ep.Tensor) -> Tensor:
        """Which grid each sample is at, int64 (n,)."""
        starts = raw(step).new_tensor([begin for begin, _ in self.schedule])
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
    if steps != sorted(set(steps)) or sides != sorted(set(sides)):
        raise InvalidInput(f"space is {space}, schedule {schedule}: give pairs (step, side), both rising from 1 on")
