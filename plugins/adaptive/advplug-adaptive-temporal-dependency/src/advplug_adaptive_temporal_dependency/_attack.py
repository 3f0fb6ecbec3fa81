"""Gradient signs within a bound that shrinks with each success (Carlini and Wagner 2018, in its public code)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import eagerpy as ep

from advplug.attack import IterativeAttack, Task
from advplug.hyperparameters import AtLeast, Count, Fraction, Positive
from advplug.numerics import on_grid, per_sample, raw, size, wrap


class State(NamedTuple):
    """``x`` the point before rounding, ``best`` the nearest success, ``mean`` of the signs, all (n, ...).

    ``bound`` is what no value may change by, ``nearest`` the distance of ``best``, infinite without one, (n,).
    """

    x: ep.Tensor
    mean: ep.Tensor
    best: ep.Tensor
    bound: ep.Tensor
    nearest: ep.Tensor


@dataclass(frozen=True, kw_only=True)
class ShrinkingBound(IterativeAttack[State]):
    """Smallest Linf perturbation: signed gradient steps within a bound, which each success makes smaller.

    Lengths are in units of the width of the bounds.

    Parameters
    ----------
    steps: number of gradient steps.
    bound: the first bound; by default 2000 of the 65,536 values of 16-bit sound, as in the public code.
    shrink: the bound falls to this share of the distance of each success (0.9 in Tramer et al. 2020).
    step_size: length of a step, as a share of the bound.
    momentum: of the mean of the gradient's signs, whose own sign is the direction.
    levels: round every point to so many evenly spaced values, so that it survives as 16-bit sound; None does not round.
    detector: whether a success must pass the model's detector. Without it the attack looks at the answer alone, and the
        detector sees the last point only.
    """

    norms = ("linf",)
    minimum_norm = True

    steps: Count = 200
    bound: Positive = 2000 / 2**16
    shrink: Fraction = 0.9
    step_size: Positive = 0.1
    momentum: Fraction = 0.9
    levels: Annotated[int, AtLeast(2)] | None = 2**16 + 1
    detector: bool = True

    def init(self, task: Task) -> State:
        low, high = task.threat.bounds
        count = size(task.inputs, "linf")
        x = task.start(random=False)
        bound = ep.full_like(count, self.bound * (high - low))
        return State(x, ep.zeros_like(x), task.inputs, bound, ep.full_like(count, ep.inf))

    def step(self, task: Task, state: State) -> State:
        point = on_grid(state.x, task.threat.bounds, self.levels)
        q = task.query(point, judge=self.detector)
        distance = size(point - task.inputs, "linf")
        success = q.success if self.detector else self._answers(task, q.logits)
        won = success.logical_and(distance < state.nearest)
        best, nearest = ep.where(per_sample(won, point), point, state.best), ep.where(won, distance, state.nearest)
        bound = ep.minimum(state.bound, self.shrink * nearest)
        mean = self.momentum * state.mean + (1 - self.momentum) * q.gradient.sign()
        reach = per_sample(bound, point)
        delta = state.x - task.inputs - self.step_size * reach * mean.sign()
        x = task.clip(task.inputs + ep.minimum(ep.maximum(delta, -reach), reach))
        return State(x, mean, best, bound, nearest)

    def conclude(self, task: Task, state: State) -> None:
        task.evaluate(on_grid(state.x, task.threat.bounds, self.levels) if self.detector else state.best)

    @staticmethod
    def _answers(task: Task, logits: ep.Tensor) -> ep.Tensor:
        """Whether the model's answer is the target, or without targets a wrong one, whatever its detector says."""
        answers = wrap(task.problem.model.answers(raw(logits)))
        return answers != task.labels if task.targets is None else answers == task.targets
