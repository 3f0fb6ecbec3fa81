"""Exact Euclidean projections onto the intersection of a norm ball and the box of valid inputs.

Each takes perturbations ``delta`` (n, d), radii (n, 1) and the room that the box leaves around the clean input:
``low <= delta <= high`` with ``low <= 0 <= high``, both (n, d). Clipping after projecting onto the ball alone, as is
common, ends inside the intersection but not at its nearest point, and loses budget wherever a pixel saturates.
"""

from __future__ import annotations

import torch
from torch import Tensor

_BETWEEN_LOOKS = 8  # rounds between looks at whether the search is over, on devices where looking waits for the device


def linf(delta: Tensor, radius: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Nearest point with every |value| at most the radius."""
    return torch.minimum(torch.maximum(delta, torch.maximum(low, -radius)), torch.minimum(high, radius))


def l2(delta: Tensor, radius: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Nearest point of Euclidean norm at most the radius: ``clip(s * delta, low, high)`` with the right s in [0, 1].

    With magnitudes a and rooms c, ``N = sum_i min(s^2 a_i^2, c_i^2)`` is piecewise linear in s^2.
    """
    size, room = _reach(delta, low, high)
    share = least_scale(room.square(), size.square(), radius.square())
    return _clip(share.sqrt().clamp(max=1) * delta, low, high)


def l1(delta: Tensor, radius: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Nearest point with sum of magnitudes at most the radius: soft thresholding at the right lambda, then the box.

    With magnitudes a and rooms c, ``M(lambda) = sum_i min(max(a_i - lambda, 0), c_i)`` falls piecewise linearly with
    breakpoints a_i and a_i - c_i (Croce and Hein 2021, prop. 2.1); sorting them gives lambda in closed form.
    """
    size, room = _reach(delta, low, high)
    zero = torch.zeros_like(size[:, :1])
    # Going down from lambda = inf, value i starts to count at a_i (slope +1) and stops growing at a_i - c_i (slope -1).
    knot, order = torch.cat((size, size - room, zero), 1).sort(1, descending=True)
    slope = torch.cat((torch.ones_like(size), -torch.ones_like(size), zero), 1).gather(1, order).cumsum(1)
    gain = (slope[:, :-1] * (knot[:, :-1] - knot[:, 1:])).cumsum(1)
    mass = torch.cat((zero, gain), 1)  # M at each knot
    inside = (mass < radius).sum(1, keepdim=True) - 1
    inside = inside.clamp(min=0)
    missing = radius - mass.gather(1, inside)
    step = missing / slope.gather(1, inside).clamp(min=1)
    threshold = (knot.gather(1, inside) - step).clamp(min=0)
    fits = size.minimum(room).sum(1, keepdim=True) <= radius
    threshold = torch.where(fits, zero, threshold)
    return _clip(delta.sign() * (size - threshold).clamp(min=0), low, high)


def l0(delta: Tensor, radius: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Nearest point with at most ``radius`` non-zero values: those that cost most to lose (Croce and Hein 2019)."""
    clipped = _clip(delta, low, high)
    gain = delta.square() - (delta - clipped).square()
    rank = gain.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    return torch.where(rank < radius, clipped, 0)


PROJECTIONS = {"linf": linf, "l2": l2, "l1": l1, "l0": l0}


def _reach(delta: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Magnitude of each value, and the room in its direction."""
    return delta.abs(), torch.where(delta < 0, -low, high)


def _clip(delta: Tensor, low: Tensor, high: Tensor) -> Tensor:
    return torch.minimum(torch.maximum(delta, low), high)


def least_scale(most: Tensor, slope: Tensor, goal: Tensor) -> Tensor:
    """The least ``t`` (n, 1) with ``sum_i min(most_i, t slope_i) >= goal``; if none, one at which all are at most.

    The sum is concave and piecewise linear in t, so Newton's method comes from below and ends at the exact solution
    when the same terms stay below their most twice; a handful of rounds, where sorting the breakpoints takes longer.

    Parameters
    ----------
    most, slope: at least 0, (n, d).
    goal: at least 0, (n, 1).
    """
    tiny, huge = torch.finfo(most.dtype).tiny, torch.finfo(most.dtype).max
    t = (goal / slope.sum(1, keepdim=True).clamp(min=tiny)).clamp(max=huge)  # infinity times no slope would be NaN
    before = None
    for number in range(most.shape[1]):
        below = t * slope < most
        looks = below.device.type == "cpu" or number % _BETWEEN_LOOKS == _BETWEEN_LOOKS - 1
        if looks and before is not None and torch.equal(below, before):
            break
        before, counted = below, below.to(most.dtype)
        rising = (slope * counted).sum(1, keepdim=True)
        missing = goal - (most * (1 - counted)).sum(1, keepdim=True)
        t = torch.maximum(t, torch.where(rising > 0, missing / rising.clamp(min=tiny), t)).clamp(max=huge)
    return t
