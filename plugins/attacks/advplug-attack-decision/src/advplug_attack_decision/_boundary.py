"""The Boundary Attack (Brendel, Rauber and Bethge 2018, algorithm 1 and section 2)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import torch
from torch import Tensor

from advplug.attack import Task
from advplug.hyperparameters import AtLeast, Count, Fraction, Positive
from advplug.numerics import raw, wrap
from advplug_attack_decision._phases import Phase, on
from advplug_attack_decision._segment import Segment, directed, length, spread
from advplug_attack_decision._walk import START, BoundaryWalk, Walk

PROBE, MOVE = 2, 3


@dataclass(frozen=True)
class Record:
    """Of the latest proposals of one kind, how many there were and how many succeeded, (n,) each."""

    tried: Tensor
    won: Tensor

    def and_one(self, success: Tensor) -> Record:
        """With one more proposal."""
        return Record(self.tried + 1, self.won + success.to(self.won.dtype))

    def factor(self, window: int, wanted: tuple[float, float], adaptation: float) -> Tensor:
        """By what to multiply a step, (n,): 1 unless ``window`` proposals succeeded more or less often than wanted."""
        share = self.won / self.tried
        factor = torch.where(share > wanted[1], adaptation, torch.where(share < wanted[0], 1 / adaptation, 1.0))
        return torch.where(self.tried >= window, factor, 1.0).to(share)

    def emptied(self, window: int) -> Record:
        """Begun anew where the window is full."""
        open_ = (self.tried < window).to(self.tried.dtype)
        return Record(self.tried * open_, self.won * open_)


@dataclass(frozen=True)
class State(Walk):
    """A walk with ``delta`` and ``epsilon``, the step sizes along the sphere and towards the input, (n,); and what
    became of the latest ``probes`` and ``moves``.
    """

    delta: Tensor
    epsilon: Tensor
    probes: Record
    moves: Record


@dataclass(frozen=True, kw_only=True)
class Boundary(BoundaryWalk[State]):
    """A random walk along the boundary under L2: a step on the sphere around the input, then one towards the input.

    The boundary is nearly flat on the scale of the right steps: then half of the steps along the sphere stay
    adversarial. Probes measure this.

    Parameters
    ----------
    queries: decisions of each sample.
    spherical_step: delta at first, the length of a step along the sphere as a share of the distance.
    source_step: epsilon at first, the share of the distance by which a step comes nearer.
    adaptation: factor by which both change.
    probe_every: one query of so many asks whether a step along the sphere alone is adversarial.
    window: probes after which delta is adapted, and moves after which epsilon is.
    """

    norms = ("l2",)

    queries: Count = 1000
    spherical_step: Positive = 0.2
    source_step: Fraction = 0.1
    adaptation: Positive = 1.5
    probe_every: Annotated[int, AtLeast(2)] = 5
    window: Count = 10

    def init(self, task: Task) -> State:
        x = raw(task.inputs)
        one = torch.ones(len(x), dtype=x.dtype, device=x.device)
        none = Record(0 * one, 0 * one)
        phase = torch.full((len(x),), START, device=x.device)
        steps = self.spherical_step * one, self.source_step * one
        return State(phase, task.inputs, Segment.to(x), *steps, none, none)

    @property
    def own_phases(self) -> tuple[Phase[State], ...]:
        return Phase(self.on_sphere, self.probed), Phase(self.nearer, self.moved)

    def tolerance(self, task: Task) -> float:
        return 1e-3

    def arrived(self, task: Task, state: State) -> State:
        return replace(state, phase=torch.full_like(state.phase, PROBE))

    def on_sphere(self, task: Task, state: State) -> Tensor:
        """A step of random direction along the sphere around the input, of length delta times its radius."""
        clean = raw(task.inputs)
        away = state.boundary - clean
        radius, source = length(away, "l2"), directed(away)
        eta = task.noise.normal(task.t, tuple(clean.shape[1:]))[0].to(clean)
        along = (eta * source).flatten(1).sum(1)
        eta = directed(eta - spread(along, eta) * source)
        turned = directed(source + spread(state.delta, eta) * eta)
        return raw(task.clip(wrap(clean + spread(radius, turned) * turned)))

    def probed(self, task: Task, state: State, x: Tensor, success: Tensor) -> State:
        """Longer or shorter steps of both kinds where more than half or less than a fifth of the probes succeed."""
        probes = state.probes.and_one(success)
        factor = probes.factor(self.window, (0.2, 0.5), self.adaptation)
        return replace(
            state,
            phase=torch.full_like(state.phase, MOVE),
            delta=state.delta * factor,
            epsilon=state.epsilon * factor,
            probes=probes.emptied(self.window),
        )

    def nearer(self, task: Task, state: State) -> Tensor:
        """A step along the sphere, and from there one towards the input, to ``1 - epsilon`` times the distance."""
        clean = raw(task.inputs)
        turned = self.on_sphere(task, state) - clean
        goal = (1 - state.epsilon) * length(state.boundary - clean, "l2")
        return clean + spread(goal, turned) * directed(turned)

    def moved(self, task: Task, state: State, x: Tensor, success: Tensor) -> State:
        """There if it is adversarial; larger or smaller steps to the input where many or few are."""
        moves = state.moves.and_one(success)
        factor = moves.factor(2 * self.window, (0.1, 0.25), self.adaptation)
        at = replace(
            state,
            phase=torch.full_like(state.phase, MOVE if (task.t + 1) % self.probe_every else PROBE),
            epsilon=(state.epsilon * factor).clamp(max=0.5),
            moves=moves.emptied(2 * self.window),
        )
        return on(success, lambda: replace(at, x=wrap(x)), at)
