"""RayS (Chen and Gu 2020, algorithms 1 and 3)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import eagerpy as ep
import torch
from torch import Tensor

from advplug.attack import Task
from advplug.hyperparameters import Count, Fraction
from advplug.numerics import raw, wrap
from advplug_attack_decision._phases import DecisionAttack, Phase, on
from advplug_attack_decision._segment import spread
from advplug_attack_decision._start import BLOCKS, black_and_white

TRY, BISECT = 0, 1
FIRST = 31
"""Corners that are tried in the order of the paper: all signs turned, then halves, quarters, eighths and sixteenths."""


@dataclass(frozen=True)
class State:
    """``direction`` (n, ...) the best corner so far, of +1 and -1, and ``radius`` (n,) the distance to the boundary.

    Before the first success the radius is infinite. ``proposal`` (n, ...) is the corner that is tried, ``low`` and
    ``high`` (n,) the distances between which its boundary is bisected. ``blocks`` int64 (n,) is the number of parts
    that the corner is divided into, ``part`` the one that is next.
    """

    phase: Tensor
    direction: Tensor
    radius: Tensor
    proposal: Tensor
    low: Tensor
    high: Tensor
    blocks: Tensor
    part: Tensor

    @property
    def x(self) -> ep.Tensor:
        """The best direction."""
        return wrap(self.direction)


@dataclass(frozen=True, kw_only=True)
class RayS(DecisionAttack[State]):
    """Looks for the corner of the Linf ball whose ray meets the boundary first; no gradient is estimated.

    The signs of one part of the corner are turned, of halves first, then of quarters and so on. One query at the best
    distance says whether the new corner is better; only then its boundary is bisected. If none of the first corners is
    adversarial, random ones follow until one is.

    Parameters
    ----------
    queries: decisions of each sample.
    tolerance: how closely the bisection finds the boundary, as a share of the range of valid values.
    """

    norms = ("linf",)

    queries: Count = 1000
    tolerance: Fraction = 1e-3

    @property
    def phases(self) -> tuple[Phase[State], ...]:
        return Phase(self.turned, self.tried), Phase(self.middle, self.halved)

    def init(self, task: Task) -> State:
        x = raw(task.inputs)
        corner = torch.ones_like(x)
        if task.starting_points is not None:
            corner = torch.where(raw(task.starting_points) < x, -1.0, 1.0).to(x)
        radius = torch.full((len(x),), torch.inf, dtype=x.dtype, device=x.device)
        phase = torch.full((len(x),), TRY, device=x.device)
        return State(phase, corner, radius, corner, radius, radius, torch.ones_like(phase), torch.zeros_like(phase))

    def turned(self, task: Task, state: State) -> Tensor:
        """The best corner with the signs of one part turned, at the best distance."""
        return self.at(task, self.proposed(task, state), torch.minimum(state.radius, whole(task)))

    def proposed(self, task: Task, state: State) -> Tensor:
        """The corner with the next part turned, (n, ...), or a random one."""
        flat = state.direction.flatten(1)
        values = flat.shape[1]
        length = (values + state.blocks - 1) // state.blocks
        place = torch.arange(values, device=flat.device) // length[:, None]
        turned = torch.where(place == state.part[:, None], -flat, flat).view_as(state.direction)
        return on(lost(task, state), lambda: 2 * black_and_white(task, BLOCKS[task.t % len(BLOCKS)]) - 1, turned)

    def tried(self, task: Task, state: State, x: Tensor, success: Tensor) -> State:
        """The next part; and where the corner is better, the way to its boundary first."""
        anew = lambda: replace(state, blocks=torch.ones_like(state.blocks), part=torch.zeros_like(state.part))  # noqa: E731
        onward = self.after(on(lost(task, state), anew, state))
        phase, zero = torch.full_like(state.phase, BISECT), torch.zeros_like(state.radius)
        proposal, high = self.proposed(task, state), torch.minimum(state.radius, whole(task))
        return on(success, lambda: replace(onward, phase=phase, proposal=proposal, low=zero, high=high), onward)

    def after(self, state: State) -> State:
        """The next part, or the first of twice as many; of halves again after single values."""
        values, part = state.direction[0].numel(), state.part + 1
        length = (values + state.blocks - 1) // state.blocks
        through = part * length >= values
        blocks = torch.where(through, torch.where(length == 1, 1, 2 * state.blocks), state.blocks)
        return replace(state, blocks=blocks, part=torch.where(through, 0, part))

    def middle(self, task: Task, state: State) -> Tensor:
        return self.at(task, state.proposal, (state.low + state.high) / 2)

    def halved(self, task: Task, state: State, x: Tensor, success: Tensor) -> State:
        """Half of the way that was left; the proposal is the best corner once its boundary is found."""
        middle = (state.low + state.high) / 2
        low, high = torch.where(success, state.low, middle), torch.where(success, middle, state.high)
        closer = replace(state, low=low, high=high)
        width = task.threat.bounds[1] - task.threat.bounds[0]
        found = high - low <= max(self.tolerance, 2 * torch.finfo(high.dtype).eps) * width
        phase = torch.full_like(state.phase, TRY)
        return on(found, lambda: replace(closer, phase=phase, direction=state.proposal, radius=high), closer)

    def at(self, task: Task, corner: Tensor, radius: Tensor) -> Tensor:
        """The point (n, ...) at that Linf distance (n,) in the direction of a corner."""
        return raw(task.inputs) + spread(radius, corner) * corner


def lost(task: Task, state: State) -> Tensor:
    """Samples that none of the first corners broke, bool (n,)."""
    return state.radius.isinf() & (task.t >= FIRST)


def whole(task: Task) -> Tensor:
    """The range of valid values, which leads to the end of each way; a number ()."""
    low, high = task.threat.bounds
    return raw(task.inputs).new_tensor(high - low)
