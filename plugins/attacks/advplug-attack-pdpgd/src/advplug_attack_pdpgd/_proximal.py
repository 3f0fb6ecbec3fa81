"""Proximal operators: ``prox(v, mu)`` is the z that minimises ``mu * penalty(z) + ||z - v||_2^2 / 2``.

Each takes vectors ``v`` (n, d) and weights ``mu`` that broadcast over them, (n, 1) or, for the penalties that are a sum
over the values (l1, l0, two_thirds, half), (n, d). A weight of 0 gives back ``v``.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

Prox = Callable[[Tensor, Tensor], Tensor]

_NEWTON = 60


def _positive(x: Tensor) -> Tensor:
    return x.clamp(min=torch.finfo(x.dtype).tiny)


def flat(prox: Prox) -> Prox:
    """``prox`` for ``v`` and ``mu`` (n, ...), each row flattened."""
    return lambda v, mu: prox(v.flatten(1), mu.flatten(1)).view_as(v)


def linf(v: Tensor, mu: Tensor) -> Tensor:
    """Of the largest magnitude: cuts all magnitudes to one level t, where ``sum max(|v_i| - t, 0) / mu_i = 1``.

    Summed over the k largest magnitudes alone the equation gives a level of its own; t is the largest of these. With
    one weight mu for all this is Moreau's ``v - P(v)``, P the projection onto the L1 ball of radius mu.
    """
    mu = _positive(mu).expand_as(v)
    least = mu.amin(1, keepdim=True)
    size, order = v.abs().sort(1, descending=True)
    weight = (least / mu).gather(1, order)  # times the least mu throughout, lest 1 / mu overflow
    level = (((weight * size).cumsum(1) - least) / weight.cumsum(1)).amax(1, keepdim=True).clamp(min=0)
    return torch.minimum(torch.maximum(v, -level), level)


def l2(v: Tensor, mu: Tensor) -> Tensor:
    """Of the Euclidean norm: ``z_i = v_i / (1 + mu_i / L)`` where L is the length of z, 0 if nothing is left."""
    v = v / (scale := _positive(v.abs().amax(1, keepdim=True)))
    mu = (mu / scale).clamp(min=torch.finfo(v.dtype).eps).expand_as(v)
    length = (v.norm(dim=1, keepdim=True) - mu.amax(1, keepdim=True)).clamp(min=0)  # at most the root
    for _ in range(_NEWTON):  # sum of (v_i / (L + mu_i))^2 = 1: convex and falling, so that Newton rises to the root
        part = (v / (length + mu)).square()
        slope = 2 * (part / (length + mu)).sum(1, keepdim=True)
        length = length + ((part.sum(1, keepdim=True) - 1) / _positive(slope)).clamp(min=0)
    z: Tensor = scale * v * length / (length + mu)
    return z


def l1(v: Tensor, mu: Tensor) -> Tensor:
    """Of the sum of magnitudes: soft threshold."""
    return v.sign() * (v.abs() - mu).clamp(min=0)


def l0(v: Tensor, mu: Tensor) -> Tensor:
    """Of the number of non-zero values: hard threshold."""
    return torch.where(v.square() > 2 * mu, v, 0)


def two_thirds(v: Tensor, mu: Tensor) -> Tensor:
    """Of the sum of magnitudes to the power 2/3 (Xu et al. 2012; Cao et al. 2013).

    With ``w = sqrt(|z|^(2/3))`` stationarity is a quartic, whose largest root comes from a cubic in closed form.
    """
    size = v.abs()
    # psi is the angle of the cubic: acosh(27 v^2 / (16 (2 mu)^(3/2))); below the threshold it may not exist.
    weight = (2 * mu).clamp(min=torch.finfo(v.dtype).tiny)
    angle = torch.acosh((27 * size.square() / (16 * weight.pow(1.5))).clamp(min=1))
    a = 2 / math.sqrt(3) * weight.pow(0.25) * torch.cosh(angle / 3).sqrt()
    root = (2 * size / a - a.square()).clamp(min=0).sqrt()
    kept = v.sign() * ((a + root) / 2).pow(3)
    threshold = 2 / 3 * (3 * weight.pow(3)).pow(0.25)
    return torch.where(size > threshold, torch.where(mu > 0, kept, v), 0)


def half(v: Tensor, mu: Tensor) -> Tensor:
    """Of the sum of square roots of magnitudes (Xu et al. 2012)."""
    size = v.abs()
    kept = size > 1.5 * mu.pow(2 / 3)
    cosine = math.sqrt(27) / 4 * mu * torch.where(kept, size, 1).pow(-1.5)
    shrunk = 2 / 3 * v * (1 + torch.cos(2 / 3 * torch.acos(-cosine.clamp(max=1))))
    return torch.where(kept, shrunk, 0)


def pixel_l0(v: Tensor, mu: Tensor) -> Tensor:
    """Of the number of pixels that are not zero in all channels, for ``v`` and ``mu`` (n, C, ...)."""
    return torch.where((v.square() / (2 * _positive(mu))).sum(1, keepdim=True) > 1, v, 0)


def by_largest_channel(prox: Prox) -> Prox:
    """The rule of the author's code for pixels: ``prox`` for the largest channel of each, for ``v`` (n, C, ...).

    Where that channel becomes zero, so do the others; elsewhere they stay as they are.
    """

    def of_pixels(v: Tensor, mu: Tensor) -> Tensor:
        size = v.abs()
        peak = size == size.amax(1, keepdim=True)
        shrunk = prox(v, mu.expand_as(v))
        kept = (peak & (shrunk != 0)).any(1, keepdim=True)
        return torch.where(kept, torch.where(peak, shrunk, v), 0)

    return of_pixels
