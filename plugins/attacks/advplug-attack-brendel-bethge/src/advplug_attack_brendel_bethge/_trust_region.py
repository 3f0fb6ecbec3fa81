"""The step of the attack: inside a trust region, on the boundary, and as near to the clean input as can be."""

from __future__ import annotations

import torch
from torch import Tensor

from advplug.numerics import least_scale
from advplug_attack_brendel_bethge._paths import Way

TRIES = 24
"""The most shares of the way to the clean input that a step tries."""

FIRST = 0.15
"""By what the share falls as long as all were too much."""

LEAST, USED = 1e-3, 0.99
"""A search for the share ends where its bracket is so narrow, relatively, or where so much of the radius is used."""

RELATIVE = 1e-5
"""How exactly a step meets the plane and the radius, as a share of the radius."""


def nearest_step(way: Way, w: Tensor, change: Tensor, radius: Tensor) -> Tensor:
    """The point y that minimises ``||y - clean||_p`` with ``<w, y - x> = change`` and ``||y - x||_2 <= radius``.

    This is eq. 1 of Brendel et al. 2019 inside the bounds. The optimal points for all radii form a path, which leads
    from the point of the plane nearest to ``x`` to that nearest to ``clean``; the one sought is where the path leaves
    the trust region, and is found by bisection. Under l0, where the problem has no efficient solution, the path is a
    greedy one. Where the plane does not pass through the trust region, y is the point there that comes nearest to it.

    Parameters
    ----------
    way: the points ``x`` and ``clean``, float64, the bounds and the norm.
    w: normals of the plane, (n, d).
    change: what ``<w, .>`` has to change by, (n,).
    radius: (n,).

    Returns
    -------
    Tensor: float64 (n, d).
    """
    clean, x, bounds, norm = way
    change, radius = change[:, None], radius[:, None]
    length = w.norm(dim=1, keepdim=True).clamp(min=torch.finfo(w.dtype).tiny)
    w, change = w / length, change / length
    tolerance = RELATIVE * radius
    goal = (w * x).sum(1, keepdim=True) + change
    farthest = farthest_towards(x, w * change.sign(), radius, bounds)
    reached = ((w * (farthest - x)).sum(1, keepdim=True) - change) * change.sign() >= -tolerance

    low, high = torch.zeros_like(radius), torch.ones_like(radius)
    best, shift, _ = way._replace(norm="l2").stop(low, low).onto(w, goal, -change, tolerance)
    reach = (best - clean).abs().amax(1, keepdim=True)
    nearer, further = (best - x).norm(dim=1, keepdim=True), torch.full_like(radius, torch.inf)
    share, done = high - LEAST, ~reached
    if norm == "l0":
        y = sparsest(clean, w, goal, bounds)
        fits = (y - x).norm(dim=1, keepdim=True) <= radius
        best, done = torch.where(fits, y, best), done | fits
    for number in range(TRIES):
        path = way.stop(share, reach)
        y, tried, met = path.onto(w, goal, shift, tolerance)
        if path.price is not None:
            y, _, met = path.with_jumps_kept(-tried * w).onto(w, goal, tried, tolerance)
        length = torch.where(met, (y - x).norm(dim=1, keepdim=True), torch.inf)
        fits, beyond = ~done & (length <= radius + tolerance), ~done & (length > radius + tolerance)
        best, shift = torch.where(fits, y, best), torch.where(fits, tried, shift)
        low, nearer = torch.where(fits, share, low), torch.where(fits, length, nearer)
        high, further = torch.where(beyond, share, high), torch.where(beyond, length, further)
        done |= (nearer >= USED * radius) | (high - low <= LEAST * high)
        if bool(done.all()):
            break
        # Where lengths are known at both ends, false position takes turns with steps of fixed proportions.
        part = ((radius - nearer) / (further - nearer)).clamp(0.01, 0.99)
        fixed = torch.where(low > 0, 0.5, FIRST)
        share = low + (high - low) * torch.where(further.isinf(), fixed, part if number % 2 else fixed)
    return torch.where(reached, best, farthest)


def sparsest(clean: Tensor, w: Tensor, goal: Tensor, bounds: tuple[float, float]) -> Tensor:
    """The point y (n, d) with ``<w, y> = goal`` (n, 1) and the fewest values that differ from those of ``clean``.

    They are those that can contribute most, all at a bound but the last; the exact optimum without a trust region.
    """
    missing = goal - (w * clean).sum(1, keepdim=True)
    push = w * missing.sign()
    room = torch.where(push > 0, bounds[1] - clean, clean - bounds[0])
    gain, order = (push.abs() * room).sort(1, descending=True)
    part = (missing.abs() - (gain.cumsum(1) - gain)) / gain.clamp(min=torch.finfo(gain.dtype).tiny)
    return clean + push.sign() * room * torch.zeros_like(gain).scatter(1, order, part.clamp(0, 1))


def farthest_towards(x: Tensor, direction: Tensor, radius: Tensor, bounds: tuple[float, float]) -> Tensor:
    """The point y inside the bounds with the largest ``<direction, y>`` and ``||y - x||_2 <= radius``; (n, d)."""
    room = torch.where(direction > 0, bounds[1] - x, x - bounds[0])
    scale = least_scale(room.square(), direction.square(), radius.square()).sqrt()
    return x + direction.sign() * room.minimum(scale * direction.abs())
