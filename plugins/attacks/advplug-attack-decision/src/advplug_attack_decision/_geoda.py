"""GeoDA (Rahmati et al. 2020, algorithms 1 and 2)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from advplug.attack import Task
from advplug.hyperparameters import Count, Fraction, Positive
from advplug.numerics import raw, wrap
from advplug_attack_decision._phases import Phase, on
from advplug_attack_decision._segment import Segment, directed, length, spread
from advplug_attack_decision._walk import START, BoundaryWalk, Walk

ESTIMATE, REACH, NARROW = 2, 3, 4
ESTIMATING = 0.8
"""Share of the queries that estimates take; bisections take the rest."""
GROWTH = 1.5
"""How fast the way along the new direction grows until it is adversarial."""


@dataclass(frozen=True)
class State(Walk):
    """A walk with ``t`` the iteration and ``draws`` how many it has made, (n,) each.

    ``drawn`` (n, ...) is the sum of the draws, ``signs`` (n,) of their signs, and ``w`` (n, ...) of the draws with
    their signs, which estimates the normal of the boundary. ``low`` and ``high`` (n,) are distances along the way that
    follows from it: the boundary is between them, in the last phase.
    """

    t: Tensor
    draws: Tensor
    drawn: Tensor
    signs: Tensor
    w: Tensor
    low: Tensor
    high: Tensor


@dataclass(frozen=True, kw_only=True)
class GeoDA(BoundaryWalk[State]):
    """Takes the boundary for a plane, estimates its normal, and goes from the input straight to that plane.

    Parameters
    ----------
    queries: decisions of each sample.
    iterations: how many estimates share them; None for one per 500.
    contraction: lambda, by which an iteration is expected to shrink the distance. Later iterations get more queries,
        ``lambda^(-2/3)`` times as many each time.
    sigma: standard deviation of the draws, as a share of the range of valid values.
    """

    norms = ("l2", "linf", "l1")

    queries: Count = 1000
    iterations: Count | None = None
    contraction: Fraction = 0.6
    sigma: Positive = 2e-3

    def init(self, task: Task) -> State:
        x = raw(task.inputs)
        zero = torch.zeros(len(x), dtype=x.dtype, device=x.device)
        phase = torch.full((len(x),), START, device=x.device)
        none = torch.zeros_like(x)
        return State(phase, task.inputs, Segment.to(x), zero, zero, none, zero, none, zero, zero)

    @property
    def own_phases(self) -> tuple[Phase[State], ...]:
        return (
            Phase(self.around, self.counted),
            Phase(self.ahead, self.reached),
            Phase(self.between, self.narrowed),
        )

    def tolerance(self, task: Task) -> float:
        """A tenth of a draw's way across the boundary, as a share of a distance that is about the range."""
        return self.sigma / 10

    def arrived(self, task: Task, state: State) -> State:
        zero, none = torch.zeros_like(state.draws), torch.zeros_like(state.w)
        estimate = torch.full_like(state.phase, ESTIMATE)
        return replace(state, phase=estimate, t=state.t + 1, draws=zero, drawn=none, signs=zero, w=none)

    def around(self, task: Task, state: State) -> Tensor:
        """``x_B + sigma eta``, eta ~ N(0, I)."""
        low, high = task.threat.bounds
        eta = task.noise.normal(task.t, tuple(task.inputs.shape[1:]))[0].to(state.boundary)
        return state.boundary + self.sigma * (high - low) * eta

    def counted(self, task: Task, state: State, x: Tensor, success: Tensor) -> State:
        """Eq. 8: the sum of the draws, those that are not adversarial reversed."""
        eta = x - state.boundary  # what the bounds left of it
        sign = torch.where(success, 1.0, -1.0).to(eta)
        more = replace(
            state,
            draws=state.draws + 1,
            drawn=state.drawn + eta,
            signs=state.signs + sign,
            w=state.w + spread(sign, eta) * eta,
        )
        enough = more.draws >= self.planned_draws(more.t)
        return on(enough, lambda: self.aimed(task, more), more)

    def planned_draws(self, t: Tensor) -> Tensor:
        """Draws of iteration ``t`` (n,), from 1: eq. 14, and those of the last one again after it."""
        count = self.iterations or max(1, round(self.queries / 500))
        growth: float = self.contraction ** (-2 / 3)
        share = (growth - 1) / (growth**count - 1)
        draws: Tensor = self.queries * ESTIMATING * share * growth ** (t.clamp(max=count) - 1)
        return draws.floor().clamp(min=1)

    def aimed(self, task: Task, state: State) -> State:
        """Along the new way, first as far as the boundary was.

        The mean of the signs is taken off: where the bounds cut the draws their mean is not zero.
        """
        share = state.signs / state.draws
        w = state.w - spread(torch.where(share.abs() < 1, share, 0), state.w) * state.drawn
        away = length(state.boundary - raw(task.inputs), task.threat.norm)
        reach = torch.full_like(state.phase, REACH)
        return replace(state, phase=reach, w=w, low=torch.zeros_like(away), high=away)

    def ahead(self, task: Task, state: State) -> Tensor:
        return self.way(task, state.w, state.high)

    def reached(self, task: Task, state: State, x: Tensor, success: Tensor) -> State:
        """Further until it is adversarial; where the bounds are in the way, from the old point again."""
        further = replace(state, low=state.high, high=GROWTH * state.high)
        end = length(self.way(task, state.w, further.high) - x, "linf") == 0
        further = on(end, lambda: self.arrived(task, state), further)
        return on(success, lambda: replace(state, phase=torch.full_like(state.phase, NARROW)), further)

    def between(self, task: Task, state: State) -> Tensor:
        return self.way(task, state.w, (state.low + state.high) / 2)

    def narrowed(self, task: Task, state: State, x: Tensor, success: Tensor) -> State:
        """Half of the way that was left; the end of it is the new point on the boundary."""
        middle = (state.low + state.high) / 2
        low, high = torch.where(success, state.low, middle), torch.where(success, middle, state.high)
        closer = replace(state, low=low, high=high)
        found = high - low <= max(self.tolerance(task), 2 * torch.finfo(high.dtype).eps) * high
        there = wrap(self.way(task, state.w, high))
        return on(found, lambda: self.arrived(task, replace(closer, x=task.clip(there))), closer)

    def way(self, task: Task, w: Tensor, distance: Tensor) -> Tensor:
        """The point (n, ...) within the bounds, ``distance`` (n,) away, that goes furthest along ``w``.

        Under l1 the values of the greatest slope go as far as the bounds let them, one after the other.
        """
        clean, (low, high) = raw(task.inputs), task.threat.bounds
        if task.threat.norm != "l1":
            v = directed(w) if task.threat.norm == "l2" else w.sign()
            return raw(task.clip(wrap(clean + spread(distance, v) * v)))
        slope = w.flatten(1)
        room = torch.where(slope > 0, high - clean.flatten(1), clean.flatten(1) - low)
        order = slope.abs().argsort(dim=1, descending=True)
        spent = torch.minimum(room.gather(1, order).cumsum(1), distance[:, None])
        steps = spent.diff(dim=1, prepend=torch.zeros_like(spent[:, :1]))
        delta = torch.zeros_like(slope).scatter(1, order, steps) * slope.sign()
        return clean + delta.view_as(clean)
