"""Sign-OPT (Cheng et al. 2020, algorithm 1)."""

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

SIGNS, TRY, BISECT = 2, 3, 4
SHORTEST = 1e-4
"""Steps are not shortened below this: then new signs are drawn."""


@dataclass(frozen=True)
class State(Walk):
    """A walk with ``theta`` (n, ...) the direction, of norm 1, and ``g`` (n,) the distance to the boundary in it.

    ``slope`` (n, ...) is the sum of the signed draws and ``draws`` (n,) their number; ``alpha`` (n,) the step along it,
    ``gained`` bool (n,) whether one of this line search came nearer; ``low`` and ``high`` (n,) the distances between
    which the boundary is bisected in the direction that is tried.
    """

    theta: Tensor
    g: Tensor
    slope: Tensor
    draws: Tensor
    alpha: Tensor
    gained: Tensor
    low: Tensor
    high: Tensor


@dataclass(frozen=True, kw_only=True)
class SignOPT(BoundaryWalk[State]):
    """Descends on the distance to the boundary as a function of the direction, of which one query tells a sign.

    The point at the known distance in a direction nearby is adversarial where the boundary is nearer there. The sum of
    such directions is the descent direction; the step along it doubles as long as it helps. A query at the best
    distance says whether it does, so that a bisection is spent on steps that help alone. The authors begin with the
    best of 100 random directions, here the search begins with the first that leads to an adversarial point.

    Parameters
    ----------
    queries: decisions of each sample.
    draws: Q, signs for each descent direction.
    beta: length of the draws, for a direction of length 1.
    step_size: alpha, of the first line search.
    precision: how closely bisections find the boundary, as a share of its distance.
    """

    norms = ("l2", "linf")

    queries: Count = 1000
    draws: Count = 100
    beta: Positive = 0.01
    step_size: Positive = 0.2
    precision: Fraction = 1e-3

    def init(self, task: Task) -> State:
        x = raw(task.inputs)
        zero, none = torch.zeros(len(x), dtype=x.dtype, device=x.device), torch.zeros_like(x)
        phase = torch.full((len(x),), START, device=x.device)
        start = phase, task.inputs, Segment.to(x)
        return State(*start, none, zero, none, zero, zero + self.step_size, zero > 0, zero, zero)

    @property
    def own_phases(self) -> tuple[Phase[State], ...]:
        return (
            Phase(self.beside, self.counted),
            Phase(self.stepped, self.tried),
            Phase(self.between, self.halved),
        )

    def tolerance(self, task: Task) -> float:
        return self.precision

    def arrived(self, task: Task, state: State) -> State:
        """The direction of the point on the boundary."""
        away = state.boundary - raw(task.inputs)
        theta, g = directed(away, task.threat.norm), length(away, task.threat.norm)
        return self.afresh(replace(state, theta=theta, g=g))

    def afresh(self, state: State) -> State:
        """New draws around the direction."""
        none = torch.zeros_like(state.theta)
        signs = torch.full_like(state.phase, SIGNS)
        return replace(
            state, phase=signs, slope=none, draws=torch.zeros_like(state.g), gained=torch.zeros_like(state.gained)
        )

    def drawn(self, task: Task) -> Tensor:
        """A random direction u (n, ...), of L2 norm 1."""
        return directed(task.noise.normal(task.t, tuple(task.inputs.shape[1:]))[0].to(raw(task.inputs)))

    def beside(self, task: Task, state: State) -> Tensor:
        """At the distance g in the direction ``theta + beta u``; under linf that may leave the cube a little."""
        u = spread(self.beta * length(state.theta, "l2"), state.theta) * self.drawn(task)
        direction = state.theta + u if task.threat.norm == "linf" else directed(state.theta + u)
        return raw(task.inputs) + spread(state.g, u) * direction

    def counted(self, task: Task, state: State, x: Tensor, success: Tensor) -> State:
        """Eq. 5: the sum of ``sign(g(theta + beta u) - g(theta)) u``."""
        u = self.drawn(task)
        sign = torch.where(success, -1.0, 1.0).to(u)
        more = replace(state, slope=state.slope + spread(sign, u) * u, draws=state.draws + 1)
        return on(more.draws >= self.draws, lambda: replace(more, phase=torch.full_like(state.phase, TRY)), more)

    def descended(self, task: Task, state: State) -> Tensor:
        """The direction a step down the slope, (n, ...)."""
        v = directed(state.slope, task.threat.norm)
        return normed(state.theta - spread(state.alpha, v) * v, task.threat.norm)

    def stepped(self, task: Task, state: State) -> Tensor:
        return self.at(task, self.descended(task, state), state.g)

    def tried(self, task: Task, state: State, x: Tensor, success: Tensor) -> State:
        """Where it is nearer, how near; where not, new signs after a gain, else a quarter of the step."""
        short = replace(state, alpha=state.alpha / 4)
        over = state.gained | (short.alpha < SHORTEST)
        next_alpha = torch.where(state.gained, state.alpha / 2, self.step_size).to(state.alpha)
        again = self.afresh(replace(short, alpha=next_alpha))
        missed = on(over, lambda: again, short)
        bisect = torch.full_like(state.phase, BISECT)
        return on(success, lambda: replace(state, phase=bisect, low=state.g / 2, high=state.g), missed)

    def between(self, task: Task, state: State) -> Tensor:
        return self.at(task, self.descended(task, state), (state.low + state.high) / 2)

    def halved(self, task: Task, state: State, x: Tensor, success: Tensor) -> State:
        """Half of the way that was left; then the step that helped, twice as long."""
        middle = (state.low + state.high) / 2
        low, high = torch.where(success, state.low, middle), torch.where(success, middle, state.high)
        closer = replace(state, low=low, high=high)
        found = high - low <= max(self.precision, 2 * torch.finfo(high.dtype).eps) * high
        return on(found, lambda: self.nearer(task, closer), closer)

    def nearer(self, task: Task, state: State) -> State:
        """The direction that was tried is the best, as far as the bounds let it; the next one is twice as far."""
        there = raw(task.clip(wrap(self.at(task, self.descended(task, state), state.high))))
        away = there - raw(task.inputs)
        return replace(
            state,
            phase=torch.full_like(state.phase, TRY),
            theta=directed(away, task.threat.norm),
            g=length(away, task.threat.norm),
            alpha=2 * state.alpha,
            gained=torch.ones_like(state.gained),
        )

    def at(self, task: Task, direction: Tensor, distance: Tensor) -> Tensor:
        """The point (n, ...) at that distance (n,) in a direction (n, ...) of any length."""
        v = normed(direction, task.threat.norm)
        return raw(task.inputs) + spread(distance, v) * v


def normed(direction: Tensor, norm: str) -> Tensor:
    """``direction`` (n, ...) of norm 1; under linf cut to the cube, so that no value shrinks the others."""
    return direction.clamp(-1, 1) if norm == "linf" else directed(direction)
