"""HopSkipJump (Chen, Jordan and Wainwright 2020, algorithm 2)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from advplug.attack import Task
from advplug.hyperparameters import Count, Positive
from advplug.numerics import raw
from advplug_attack_decision._phases import Phase, on
from advplug_attack_decision._segment import Segment, directed, length, spread
from advplug_attack_decision._walk import START, BoundaryWalk, Walk

ESTIMATE, STEP = 2, 3


@dataclass(frozen=True)
class State(Walk):
    """A walk with ``t`` the iteration (n,); and of the iteration, per sample:

    ``drawn`` and ``won`` the sum of all directions and of those that succeeded, (n, ...), ``draws`` and ``wins`` their
    numbers (n,); ``v`` the direction to go, (n, ...), and ``xi`` the length of the step (n,).
    """

    t: Tensor
    drawn: Tensor
    won: Tensor
    draws: Tensor
    wins: Tensor
    v: Tensor
    xi: Tensor


@dataclass(frozen=True, kw_only=True)
class HopSkipJump(BoundaryWalk[State]):
    """From a point on the boundary along an estimate of its normal, and back to the boundary; under L2 and Linf.

    Parameters
    ----------
    queries: decisions of each sample.
    initial_draws: B_0; iteration t takes B_0 sqrt(t) draws for its estimate.
    max_draws: no iteration takes more.
    gamma: sets the tolerance of the bisection, gamma d^(-3/2) under l2 and gamma d^(-2) under linf for d values.
    """

    norms = ("l2", "linf")

    queries: Count = 1000
    initial_draws: Count = 100
    max_draws: Count = 10_000
    gamma: Positive = 1.0

    def init(self, task: Task) -> State:
        x = raw(task.inputs)
        none, zero = torch.zeros_like(x), torch.zeros(len(x), dtype=x.dtype, device=x.device)
        phase = torch.full((len(x),), START, device=x.device)
        return State(phase, task.inputs, Segment.to(x), zero, none, none, zero, zero, none, zero)

    @property
    def own_phases(self) -> tuple[Phase[State], ...]:
        return Phase(self.around, self.counted), Phase(self.ahead, self.stepped)

    def tolerance(self, task: Task) -> float:
        """theta, as a share of the way."""
        values = math.prod(task.inputs.shape[1:])
        share: float = self.gamma * values ** (-1.5 if task.threat.norm == "l2" else -2.0)
        return share

    def arrived(self, task: Task, state: State) -> State:
        none, zero = torch.zeros_like(state.drawn), torch.zeros_like(state.draws)
        estimate = torch.full_like(state.phase, ESTIMATE)
        return replace(state, phase=estimate, t=state.t + 1, drawn=none, won=none, draws=zero, wins=zero)

    def around(self, task: Task, state: State) -> Tensor:
        """``x_t + delta_t u`` with a random unit vector u."""
        shape = tuple(task.inputs.shape[1:])
        if task.threat.norm == "l2":
            u = task.noise.normal(task.t, shape)[0]
        else:
            u = 2 * task.noise.uniform(task.t, shape) - 1
        return state.boundary + spread(self.delta(task, state), u) * directed(u)

    def counted(self, task: Task, state: State, x: Tensor, success: Tensor) -> State:
        """Eq. 16: the mean of ``(phi - mean phi) u``, once there are enough draws."""
        u = (x - state.boundary) / spread(self.delta(task, state), x)  # what the bounds left of it
        phi = success.to(u.dtype)
        more = replace(
            state,
            drawn=state.drawn + u,
            won=state.won + spread(phi, u) * u,
            draws=state.draws + 1,
            wins=state.wins + phi,
        )
        enough = more.draws >= (self.initial_draws * more.t.sqrt()).floor().clamp(max=self.max_draws)
        return on(enough, lambda: self.estimated(task, more), more)

    def estimated(self, task: Task, state: State) -> State:
        """The direction to go, and the first length to try."""
        share = state.wins / state.draws
        normal = state.won - spread(share, state.drawn) * state.drawn
        normal = torch.where(spread(share == 1, normal), state.drawn, normal)
        normal = torch.where(spread(share == 0, normal), -state.drawn, normal)
        v = directed(normal) if task.threat.norm == "l2" else normal.sign()
        xi = length(state.boundary - raw(task.inputs), task.threat.norm) / state.t.sqrt()
        return replace(state, phase=torch.full_like(state.phase, STEP), v=v, xi=xi)

    def ahead(self, task: Task, state: State) -> Tensor:
        """``x_t + xi_t v_t``."""
        return state.boundary + spread(state.xi, state.v) * state.v

    def stepped(self, task: Task, state: State, x: Tensor, success: Tensor) -> State:
        """Half of the step until it succeeds, then back to the boundary."""
        return on(success, lambda: self.towards(state, x), replace(state, xi=state.xi / 2))

    def delta(self, task: Task, state: State) -> Tensor:
        """How far the draws are from the boundary, (n,): a tenth of the range at first, then a share of the way."""
        x, (low, high) = state.segment.far, task.threat.bounds
        values = math.prod(x.shape[1:])
        root = math.sqrt(values) if task.threat.norm == "l2" else values
        share = root * self.tolerance(task) * length(x - raw(task.inputs), task.threat.norm)
        least = math.sqrt(values) * torch.finfo(x.dtype).eps * (high - low)
        return torch.where(state.t == 1, 0.1 * (high - low), share.clamp(min=least))
