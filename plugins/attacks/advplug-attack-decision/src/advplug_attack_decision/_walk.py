"""Walks along the decision boundary: what they have in common is how they come to it."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import TypeVar

import eagerpy as ep
import torch
from torch import Tensor

from advplug.attack import Task
from advplug.numerics import raw, wrap
from advplug_attack_decision._phases import DecisionAttack, Phase, on
from advplug_attack_decision._segment import Segment
from advplug_attack_decision._start import starting_candidate

START, BISECT = 0, 1
"""Phases of every walk: until a first adversarial point is found, and back from there to the boundary."""


@dataclass(frozen=True)
class Walk:
    """``x`` (n, ...) the point on the boundary, on the adversarial side, once there is one; ``phase`` int64 (n,)."""

    phase: Tensor
    x: ep.Tensor
    segment: Segment

    @property
    def boundary(self) -> Tensor:
        """``x`` as a torch tensor."""
        return raw(self.x)


W = TypeVar("W", bound=Walk)


class BoundaryWalk(DecisionAttack[W]):
    """Finds an adversarial point, bisects to the boundary, and goes on from there in phases of its own."""

    @property
    def phases(self) -> tuple[Phase[W], ...]:
        return (Phase(self._candidate, self._started), Phase(self._middle, self._halved), *self.own_phases)

    @property
    @abstractmethod
    def own_phases(self) -> tuple[Phase[W], ...]:
        """The phases number 2 and following."""

    @abstractmethod
    def tolerance(self, task: Task) -> float:
        """How closely the bisection finds the boundary, as a share of the way."""

    @abstractmethod
    def arrived(self, task: Task, state: W) -> W:
        """The state when ``state.x`` is on the boundary: the phase that comes next, and how it begins."""

    def towards(self, state: W, far: Tensor) -> W:
        """Bisect from ``far`` (n, ...), which is adversarial, back to the boundary."""
        return replace(state, phase=torch.full_like(state.phase, BISECT), segment=Segment.to(far))

    def _candidate(self, task: Task, state: W) -> Tensor:
        return starting_candidate(task)

    def _started(self, task: Task, state: W, x: Tensor, success: Tensor) -> W:
        return on(success, lambda: self.towards(state, x), state)

    def _middle(self, task: Task, state: W) -> Tensor:
        return state.segment.middle(raw(task.inputs), task.threat.norm)

    def _halved(self, task: Task, state: W, x: Tensor, success: Tensor) -> W:
        segment = state.segment.halved(success)
        boundary = segment.at(raw(task.inputs), segment.high, task.threat.norm)
        there = replace(state, segment=segment, x=task.clip(wrap(boundary)))
        return on(segment.narrow(self.tolerance(task)), lambda: self.arrived(task, there), there)
