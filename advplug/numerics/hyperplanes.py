"""Decision boundaries taken as hyperplanes, and the nearest points on them inside a box, exact in each norm."""

from __future__ import annotations

import math
from typing import NamedTuple

import eagerpy as ep
import torch
from torch import Tensor

from advplug.errors import InvalidInput
from advplug.numerics.projections import least_scale
from advplug.numerics.tensors import raw, wrap

ORDER = {"linf": math.inf, "l2": 2.0, "l1": 1.0}

DUAL_ORDER = {"linf": 1.0, "l2": 2.0, "l1": math.inf}
"""The order of the norm in which a gradient says how fast a step of unit length in the given norm can descend."""


class Boundary(NamedTuple):
    """The hyperplane ``gap + <w, v - x> = 0`` of points v; ``x`` and ``w`` (n, ...), ``gap`` (n,)."""

    x: ep.Tensor
    gap: ep.Tensor
    w: ep.Tensor

    @classmethod
    def nearest(
        cls,
        x: ep.Tensor,
        loss: ep.Tensor,
        gradient: ep.Tensor,
        norm: str,
        bounds: tuple[float, float] | None = None,
    ) -> Boundary:
        """Where the linearised loss is zero; of a loss of M values (n, M) the one whose zero is nearest to ``x``.

        With ``bounds`` nearest inside the box, at the price of M projections; under l1 it often is another one.
        """
        if loss.ndim == 1:
            return cls(x, loss, gradient)
        values, slopes = raw(loss), raw(gradient).flatten(2)
        distance = values.abs() / torch.linalg.vector_norm(slopes, DUAL_ORDER[norm], dim=2).clamp_min(1e-12)
        if bounds is not None:
            inside = _distance_inside(raw(x).flatten(1), values, slopes, norm, bounds)
            distance = torch.where(inside.isinf().all(1, keepdim=True), distance, inside)
        chosen = distance.argmin(1, keepdim=True)
        w = slopes.take_along_dim(chosen[..., None], 1).view_as(raw(x))
        return cls(x, wrap(values.gather(1, chosen).squeeze(1)), wrap(w))

    def step_from(self, point: ep.Tensor, norm: str, bounds: tuple[float, float]) -> ep.Tensor:
        """The least step (n, ...) from ``point`` to the hyperplane inside the bounds; see :func:`to_hyperplane`."""
        p, w = raw(point).flatten(1), raw(self.w).flatten(1)
        gap = raw(self.gap) + (w * (p - raw(self.x).flatten(1))).sum(1)
        return wrap(to_hyperplane(w, gap, bounds[0] - p, bounds[1] - p, norm).view_as(raw(point)))


def _distance_inside(x: Tensor, gaps: Tensor, w: Tensor, norm: str, bounds: tuple[float, float]) -> Tensor:
    """Distance (n, M) from x (n, d) to M hyperplanes each, gaps (n, M), w (n, M, d); infinite where out of the box."""
    points = x[:, None].expand_as(w).flatten(0, 1)
    steps = to_hyperplane(w.flatten(0, 1), gaps.flatten(), bounds[0] - points, bounds[1] - points, norm).view_as(w)
    missed = ((w * steps).sum(2) + gaps).abs() > 1e-3 * gaps.abs()
    distance: Tensor = torch.linalg.vector_norm(steps, ORDER[norm], dim=2)
    return distance.masked_fill(missed, torch.inf)


def to_hyperplane(w: Tensor, gap: Tensor, low: Tensor, high: Tensor, norm: str) -> Tensor:
    """The step of least norm with ``<w, step> = -gap`` and ``low <= step <= high`` (Croce and Hein 2020, eq. 4).

    Where there is none, the step to the corner of the box that comes nearest to it. Coordinates of zero weight stay.

    Parameters
    ----------
    w: normals, (n, d).
    gap: what ``<w, .>`` has to fall by, (n,); where negative, it rises.
    low, high: how far each coordinate may move, (n, d), ``low <= 0 <= high``.
    norm: ``linf``, ``l2`` or ``l1``.

    Returns
    -------
    Tensor: (n, d).

    Raises
    ------
    InvalidInput: another norm.
    """
    push = torch.where(gap[:, None] > 0, -w, w)  # <push, step> has to rise by |gap|
    room = torch.where(push > 0, high, -low).clamp_min(0)
    size, goal = push.abs(), gap.abs()[:, None]
    match norm:
        case "linf":  # every coordinate moves by the same t, or as far as it can
            length = room.minimum(least_scale(size * room, size, goal))
        case "l2":  # every coordinate moves by t |w|, or as far as it can
            length = room.minimum(least_scale(size * room, size.square(), goal) * size)
        case "l1":  # the steepest coordinates move as far as they can, the last of them in part
            length = _steepest_first(size, room, goal)
        case _:
            raise InvalidInput(f"no step to a hyperplane under {norm!r}: choose linf, l2 or l1")
    return push.sign() * length


def _steepest_first(size: Tensor, room: Tensor, goal: Tensor) -> Tensor:
    """Lengths (n, d) within ``room`` with ``sum size * length = goal``, along the coordinates of largest ``size``."""
    size, order = size.sort(dim=1, descending=True)
    room = room.gather(1, order)
    gain = size * room
    missing = (goal - (gain.cumsum(1) - gain)).clamp_min(0)
    length = room.minimum(torch.where(size > 0, missing / size, 0))
    return torch.zeros_like(length).scatter(1, order, length)
