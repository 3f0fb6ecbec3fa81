"""The L2 attack (Carlini and Wagner 2017, sec. VI-A; search for the constant of sec. VI-D)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import eagerpy as ep

from advplug.attack import Task
from advplug.families import ConstantSearchAttack
from advplug.hyperparameters import Count, NonNegative, Positive
from advplug.numerics import Adam, TanhReparameterization, per_sample
from advplug_attack_cw._confidence import WithConfidence

PAPERS_STEP_SIZE = 0.01
OVERSHOOT = 0.3
"""Share of a descent whose successes are kept, but do not lower the constant."""


class Descent(NamedTuple):
    """``x`` the current point and ``w`` its variable, both (n, ...); ``value`` (n,) of the objective one step ago."""

    x: ep.Tensor
    w: ep.Tensor
    adam: Adam
    value: ep.Tensor


@dataclass(frozen=True, kw_only=True)
class CarliniWagnerL2(WithConfidence, ConstantSearchAttack[Descent]):
    """Minimise ``||x - x0||_2^2 + c f(x)`` over ``w``, ``x = tanh(w)`` within the bounds, with Adam.

    Distances are measured in widths of the box, so that c and the step mean the same for all bounds.

    Parameters
    ----------
    search_steps: constants c tried for each sample.
    steps: steps of Adam for each constant; 10000 in the paper.
    step_size: step of Adam in the variable w; None for the 0.01 of the paper. With fewer than 1000 steps it then falls
        to that from a longer one, at most 10 / steps, so that they reach nearly as far. How long follows the distance D
        of the best point, 2 D / sqrt(number of values); before a sample has one it doubles with each larger constant.
    initial_c: first constant.
    confidence: how far the logit of the wrong class must be above, kappa in the paper; in the loss and asked of every
        point that counts.
    abort_early: go on to the next constant where the descent of a sample stands still; not with a step that falls.
    stretch: share by which the box is wider for the change of variable, so that values at the bounds can move.
    """

    norms = ("l2",)

    search_steps: Count = 9
    steps: Count = 1000
    step_size: Positive | None = None
    initial_c: Positive = 1e-3
    confidence: NonNegative = 0.0
    abort_early: bool = True
    stretch: Positive = 0.01

    def start(self, task: Task) -> Descent:
        x = task.inputs
        w = TanhReparameterization.of(task.threat.bounds, self.stretch).inverse(x)
        return Descent(x, w, Adam.like(x), value=ep.zeros_like(x.flatten(1)[:, 0]))

    def descend(self, task: Task, inner: Descent, c: ep.Tensor, step: ep.Tensor) -> tuple[Descent, ep.Tensor]:
        box, (x, w, adam, _) = TanhReparameterization.of(task.threat.bounds, self.stretch), inner
        q = task.query(x, self.condition)
        delta = (x - task.inputs) / box.width
        value = delta.flatten(1).square().sum(1) + c * q.loss
        gradient = 2 / box.width * delta + per_sample(c, x) * q.gradient
        adam = adam.seen(gradient * box.slope(x))
        m, v = adam.scaled(per_sample(step + 1, x))
        w = w - self._step_size_at(task, c, per_sample(step, x)) * m / v
        # The first steps of Adam may cross a near boundary at any constant: that says nothing of this one.
        success = ep.logical_and(q.success, step >= OVERSHOOT * self.steps)
        return Descent(box.inside(w), w, adam, value), success

    def objective(self, inner: Descent) -> ep.Tensor | None:
        # A descent whose steps still fall may stand still until they are small.
        return inner.value if self.abort_early and not self._falls else None

    def _step_size_at(self, task: Task, c: ep.Tensor, step: ep.Tensor) -> float | ep.Tensor:
        """That of step number ``step`` (n, 1, ...) at the constants ``c`` (n,); see ``step_size``."""
        if not self._falls:
            return self.step_size or PAPERS_STEP_SIZE
        low, high = task.threat.bounds
        distance = (task.best_cost if task.threat.epsilon is None else task.epsilon) / (high - low)
        near = 2 * distance / math.sqrt(task.inputs.flatten(1).shape[1])
        unknown = PAPERS_STEP_SIZE * (math.log10(2) * (c / self.initial_c).log()).exp()  # twice as long for ten times c
        first = ep.where(distance < math.inf, near, unknown).clip(PAPERS_STEP_SIZE, 10 / self.steps)
        return PAPERS_STEP_SIZE + (per_sample(first, step) - PAPERS_STEP_SIZE) * (1 - step / self.steps)

    @property
    def _falls(self) -> bool:
        """Whether the step size falls over a descent."""
        return self.step_size is None and 10 / self.steps > PAPERS_STEP_SIZE
