"""The Linf attack (Carlini and Wagner 2017, sec. VI-C): a penalty for what exceeds a bound that shrinks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import eagerpy as ep

from advplug.attack import IterativeAttack, Task
from advplug.hyperparameters import Count, Fraction, NonNegative, Positive
from advplug.numerics import Adam, TanhReparameterization, choose, per_sample, raw, size
from advplug_attack_cw._confidence import WithConfidence, check_constants


class State(NamedTuple):
    """``x``, its variable ``w`` and ``adam``, (n, ...); bound ``tau``, constant ``c``, ``step`` at both, (n,)."""

    x: ep.Tensor
    w: ep.Tensor
    adam: Adam
    tau: ep.Tensor
    c: ep.Tensor
    step: ep.Tensor


@dataclass(frozen=True, kw_only=True)
class CarliniWagnerLinf(WithConfidence, IterativeAttack[State]):
    """Minimise ``c f(x) + sum_i max(|x_i - x0_i| - tau, 0)`` with Adam, again and again with a smaller ``tau``.

    The maximum itself has a gradient at one value only. A descent ends as soon as its point is adversarial within
    ``tau``: the bound becomes a share of the point's distance, and the next descent begins there. A descent that takes
    too long doubles the constant. Distances are measured in widths of the box.

    Parameters
    ----------
    steps: gradient steps in all.
    steps_per_tau: the most steps at one bound and constant; 1000 in the authors' code.
    step_size: step of Adam in the variable of :class:`TanhReparameterization`; 0.01 in the paper.
    finest_step: share of ``tau`` that no step of a value exceeds, so that steps shrink with the perturbation.
    initial_c: first constant; 1e-5 in the authors' code.
    largest_c: a sample that needs a larger one is done; 20 in the authors' code.
    shrink: the bound after a success, as a share of the distance reached.
    confidence: how far the logit of the wrong class must be above, kappa in the paper; in the loss and asked of every
        point that counts.
    stretch: share by which the box is wider for the change of variable, so that values at the bounds can move.
    """

    norms = ("linf",)
    minimum_norm = True

    steps: Count = 1000
    steps_per_tau: Count = 100
    step_size: Positive = 0.1
    finest_step: Positive = 0.1
    initial_c: Positive = 1.0
    largest_c: Positive = 1e4
    shrink: Fraction = 0.9
    confidence: NonNegative = 0.0
    stretch: Positive = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        check_constants(self.initial_c, self.largest_c)

    def init(self, task: Task) -> State:
        x = task.inputs
        ones = ep.ones_like(x.flatten(1)[:, 0])
        return State(x, self._box(task).inverse(x), Adam.like(x), ones, self.initial_c * ones, 0 * ones)

    def step(self, task: Task, state: State) -> State:
        box, x = self._box(task), state.x
        q = task.query(x, self.condition)
        delta = (x - task.inputs) / box.width
        reached = size(delta, "linf")
        state = self._next_descent(task, state, ep.logical_and(q.success, reached <= state.tau), reached)

        excess = (delta.abs() > per_sample(state.tau, x)).astype(x.dtype) * delta.sign() / box.width
        gradient = excess + per_sample(state.c, x) * q.gradient
        adam = state.adam.seen(gradient * box.slope(x))
        m, v = adam.scaled(per_sample(state.step + 1, x))
        rate = ep.minimum(self.step_size, self.finest_step * state.tau)
        w = state.w - per_sample(rate, x) * m / v
        return state._replace(x=box.inside(w), w=w, adam=adam, step=state.step + 1)

    def conclude(self, task: Task, state: State) -> None:
        task.evaluate(state.x, self.condition)

    def _next_descent(self, task: Task, state: State, hit: ep.Tensor, reached: ep.Tensor) -> State:
        """A smaller bound after a ``hit`` (n,), twice the constant where a descent took too long."""
        late = ep.logical_and(state.step >= self.steps_per_tau, ep.logical_not(hit))
        task.finish(ep.logical_and(late, 2 * state.c > self.largest_c))
        fresh = state._replace(
            adam=Adam.like(state.x),
            tau=ep.where(hit, self.shrink * reached, state.tau),
            c=ep.where(late, 2 * state.c, state.c),
            step=0 * state.step,
        )
        chosen: State = choose(raw(ep.logical_or(hit, late)), fresh, state)
        return chosen

    def _box(self, task: Task) -> TanhReparameterization:
        return TanhReparameterization.of(task.threat.bounds, self.stretch)
