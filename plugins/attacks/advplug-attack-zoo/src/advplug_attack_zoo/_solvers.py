"""Steps along chosen coordinates: Adam and Newton, coordinate by coordinate (Chen et al. 2017, algorithms 2 and 3)."""

from __future__ import annotations

from typing import NamedTuple

import eagerpy as ep
import torch
from torch import Tensor

from advplug.numerics import per_sample, raw, wrap
from advplug_attack_zoo._slopes import Slopes

LEAST_CURVATURE = 0.1
"""Newton divides by no less: the floor of the authors' code."""


class Moments(NamedTuple):
    """Adam's means ``m`` of slopes and ``v`` of their squares, ``seen`` the updates of each coordinate, (n, size)."""

    m: ep.Tensor
    v: ep.Tensor
    seen: ep.Tensor

    @classmethod
    def none(cls, like: ep.Tensor, size: int) -> Moments:
        """Before the first update of any of ``size`` coordinates, for samples (n, ...)."""
        zeros = ep.zeros(like, (len(like), size))
        return cls(zeros, zeros, zeros)

    def forgotten(self, where: ep.Tensor) -> Moments:
        """Without a past for the samples of ``where``, bool (n,)."""
        kept = per_sample(1 - where.astype(self.m.dtype), self.m)
        return Moments(kept * self.m, kept * self.v, kept * self.seen)

    def stepped(self, chosen: Tensor, slope: Tensor, betas: tuple[float, float]) -> tuple[Moments, Tensor]:
        """After one more ``slope`` (n, B) along ``chosen`` (n, B), and the step of size 1 there.

        Each coordinate has its own count for the correction of the bias.
        """
        m, v, seen = (raw(part).gather(1, chosen) for part in self)
        m = betas[0] * m + (1 - betas[0]) * slope
        v = betas[1] * v + (1 - betas[1]) * slope.square()
        seen = seen + 1
        step = -m / (1 - betas[0] ** seen) / ((v / (1 - betas[1] ** seen)).sqrt() + 1e-8)
        after = (raw(old).scatter(1, chosen, new) for old, new in zip(self, (m, v, seen), strict=True))
        return Moments(*(wrap(part) for part in after)), step


def newton_step(total: Slopes) -> Tensor:
    """To the minimum of the parabola, (n, B); down the slope where the curvature is not positive."""
    newton = -total.slope / total.curvature.clamp_min(LEAST_CURVATURE)
    return torch.where(total.curvature > 0, newton, -total.slope)
