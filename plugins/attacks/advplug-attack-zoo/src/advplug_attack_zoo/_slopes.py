"""Slope and curvature of a loss along single coordinates, from its values alone (Chen et al. 2017, eqs. 6 and 7)."""

from __future__ import annotations

from typing import NamedTuple

import eagerpy as ep
import torch
from torch import Tensor

from advplug.attack import Task
from advplug.numerics import raw, wrap
from advplug_attack_zoo._box import Box
from advplug_attack_zoo._space import Space


class Slopes(NamedTuple):
    """First and second derivative along each coordinate, both (n, B)."""

    slope: Tensor
    curvature: Tensor

    @classmethod
    def through(cls, offsets: Tensor, rises: Tensor) -> Slopes:
        """Of the parabola through the origin and two points: ``offsets`` and ``rises`` (2, n, B)."""
        first, second = rises / offsets
        curvature = 2 * (second - first) / (offsets[1] - offsets[0])
        return cls(first - curvature * offsets[0] / 2, curvature)


class At(NamedTuple):
    """Where to look: ``x`` and the ``change`` that leads there, both (n, ...), and the ``loss`` (n,).

    ``coordinates`` int64 (n, B) are those of a space, of which each sample is at its ``stage``, int64 (n,).
    """

    x: ep.Tensor
    change: ep.Tensor
    loss: ep.Tensor
    coordinates: Tensor
    stage: Tensor


def loss_slopes(task: Task, box: Box, space: Space, at: At, h: float) -> Slopes:
    """The task's loss along the coordinates, from two queries each, ``h`` apart, that stay within the bounds."""
    offsets = _offsets(box, at, space.peak(at.stage, at.coordinates), h)
    count = at.coordinates.shape[1]

    def points(first: int, many: int) -> ep.Tensor:
        number = torch.arange(first, first + many, device=offsets.device)
        chosen = at.coordinates[:, number % count]
        step = offsets[number // count, :, number % count]
        directions = space.directions(at.stage, chosen)
        return box.moved(at.change + wrap(directions * step.view(*step.shape, *(1,) * (directions.ndim - 2))))

    rises = raw(task.losses(points, 2 * count) - at.loss)  # in the precision of the scores, which may be the higher
    slopes = Slopes.through(offsets.to(rises), rises.view(2, count, -1).mT)
    return Slopes(*(part.to(offsets) for part in slopes))


def _offsets(box: Box, at: At, peak: Tensor, h: float) -> Tensor:
    """Two steps along each coordinate, (2, n, B): -h and h, or both to one side where the bounds are nearer than h."""
    lowest, highest, here = (raw(part).flatten(1).gather(1, peak) for part in (box.lowest, box.highest, at.change))
    near_low, near_high = here - lowest < h, highest - here < h
    one = torch.where(near_low, 2 * h, -h)
    other = torch.where(near_high & ~near_low, -2 * h, h)
    return torch.stack((one, other)).to(here)
