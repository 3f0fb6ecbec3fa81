"""Bisection on the way from the input to an adversarial point (Tramer et al. 2020, appendix N)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import eagerpy as ep
import torch
from advplug_attack_pgd import PGD

from advplug.attack import IterativeAttack, Task
from advplug.hyperparameters import Count
from advplug.numerics import per_sample, raw, wrap
from advplug_attack_interpolation._sides import Sides, sides


class State(NamedTuple):
    """``x`` the current point (n, ...), ``far`` the adversarial one, ``inner`` the state of the search for it.

    The share of the way lies between ``low`` and ``high``; ``best`` is the one that was objected to least, in
    ``least`` of the votes; all (n,).
    """

    x: ep.Tensor
    far: ep.Tensor
    inner: Any
    low: ep.Tensor
    high: ep.Tensor
    best: ep.Tensor
    least: ep.Tensor


@dataclass(frozen=True, kw_only=True)
class Interpolation(IterativeAttack[State]):
    """Search an adversarial point of high confidence, then the share of the way to it that a detector lets pass.

    A detector may object to points from two sides: too near the boundary, such as those that noise turns over, and too
    far beyond it, such as those that are more confident than any clean input. Where it says that a point is too near,
    or where the input's own class is still the answer, the point moves out; where it says too far, back. A sample for
    which both ends close in on nothing needs another adversarial point: give the run some restarts.

    Parameters
    ----------
    attack: how the adversarial point is searched, its last iterate; None for PGD of 100 steps, judged at the end.
    bisections: halvings of the way, at most.
    near: indices of the detector's scores that object to points near the boundary; all others object to far ones. A
        detector without ``detector_scores`` and ``thresholds`` only objects to far ones.
    votes: how often a stochastic detector is asked about each point.
    """

    attack: IterativeAttack[Any] | None = None
    bisections: Count = 25
    near: tuple[int, ...] = ()
    votes: Count = 4

    @cached_property
    def _search(self) -> IterativeAttack[Any]:
        return PGD(steps=100, judge="last") if self.attack is None else self.attack

    @property
    def planned_steps(self) -> int:
        """Steps of the search and halvings."""
        return self._search.planned_steps + self.bisections

    def init(self, task: Task) -> State:
        inner = self._search.init(task)
        zeros = 0 * task.inputs.flatten(1)[:, 0]
        return State(inner.x, inner.x, inner, low=zeros, high=zeros + 1, best=zeros + 1, least=zeros + ep.inf)

    def step(self, task: Task, state: State) -> State:
        if task.t < self._search.planned_steps:
            inner = self._search.step(task, state.inner)
            return state._replace(x=inner.x, far=inner.x, inner=inner)
        share = (state.low + state.high) / 2
        x = self._between(task, state, share)
        found = sides(task, x, self.near, self.votes)
        better = found.objections < state.least
        return state._replace(
            x=x,
            low=ep.where(self._out(found), share, state.low),
            high=ep.where(self._back(found), share, state.high),
            best=ep.where(better, share, state.best),
            least=ep.where(better, found.objections, state.least),
        )

    def conclude(self, task: Task, state: State) -> None:
        task.judge(self._between(task, state, state.best))

    def _out(self, found: Sides) -> ep.Tensor:
        return ep.logical_and(found.objections > 0, found.near >= found.far)

    def _back(self, found: Sides) -> ep.Tensor:
        return ep.logical_and(found.objections > 0, found.near < found.far)

    def _between(self, task: Task, state: State, share: ep.Tensor) -> ep.Tensor:
        """The point (n, ...) at ``share`` (n,) of the way."""
        way = raw(state.far) - raw(task.inputs)
        return task.project(wrap(torch.addcmul(raw(task.inputs), raw(per_sample(share, state.far)), way)))
