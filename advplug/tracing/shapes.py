"""Something differentiable of a wanted shape: what takes the place of a transformation that autograd cannot see."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from advplug.tracing.beside import straight

BINS = 16
"""Knots of the piecewise linear functions of a pixel that are fitted to the channels it became."""

RIDGE = 1e-3


def bridged(lost: Tensor, source: Tensor) -> Tensor:
    """``lost`` (m * n, ...) with the gradient of a function of ``source`` (n, ...) of its shape and roughly its values.

    The identity where shapes match, copies for several of an input, an interpolation for images of another size, and a
    least-squares fit for other channels or features. Without any gradient where one batch is no multiple of the other.
    """
    copies = len(lost) // len(source)
    if copies * len(source) != len(lost) or not source.requires_grad:
        return lost
    one = _of_one(lost, source, copies)
    if copies > 1 and in_batches(lost, len(source)):
        return straight(lost, one.repeat(copies, *(1,) * (one.ndim - 1)))
    return straight(lost, one.repeat_interleave(copies, 0))


def in_batches(copies: Tensor, count: int) -> bool:
    """Whether (m * count, ...) are m batches one after the other; else the m copies of an input are neighbours.

    Copies of one input are more alike than different inputs are.
    """
    if len(copies) == count:
        return True
    flat = copies.detach().flatten(1)
    return bool(flat.unflatten(0, (-1, count)).var(0).mean() <= flat.unflatten(0, (count, -1)).var(1).mean())


def _of_one(lost: Tensor, source: Tensor, copies: int) -> Tensor:
    """A function of ``source`` for one of the copies, (n, ...)."""
    shape = lost.shape[1:]
    if shape == source.shape[1:]:
        return source
    if lost[0].numel() == source[0].numel():
        return source.reshape(len(source), *shape)
    images = lost.ndim == source.ndim == 4
    if images and lost.shape[1] == source.shape[1]:
        return F.interpolate(source, size=tuple(lost.shape[2:]), mode="bilinear", align_corners=False)
    target = lost[: len(source)] if in_batches(lost, len(source)) else lost[::copies]
    if images and lost.shape[2:] == source.shape[2:]:
        return _by_pixel(target, source)
    return _by_features(target, source)


def _by_pixel(target: Tensor, source: Tensor) -> Tensor:
    """Channels (n, C', H, W) as piecewise linear functions of those at the same pixel, (n, C, H, W)."""
    low, high = source.detach().amin(), source.detach().amax()
    knots = torch.linspace(0, 1, BINS, device=source.device, dtype=source.dtype) * (high - low) + low
    width = ((high - low) / (BINS - 1)).clamp(min=1e-6)
    hats = (1 - (source.unsqueeze(2) - knots.view(1, 1, -1, 1, 1)).abs() / width).clamp(min=0)
    basis = hats.flatten(1, 2).movedim(1, -1)  # (n, H, W, C * BINS)
    weights = least_squares(basis.detach().flatten(0, 2), target.movedim(1, -1).flatten(0, 2))
    return (basis @ weights).movedim(-1, 1)


def _by_features(target: Tensor, source: Tensor) -> Tensor:
    """Values (n, ...) as linear functions of all values of ``source``, in the directions in which the batch differs."""
    flat = source.flatten(1)
    centre, middle = flat.detach().mean(0), target.flatten(1).mean(0)
    _, _, directions = torch.linalg.svd((flat - centre).detach(), full_matrices=False)
    basis = (flat - centre) @ directions.T
    weights = least_squares(basis.detach(), target.flatten(1) - middle)
    return torch.addmm(middle, basis, weights).view_as(target)


def least_squares(basis: Tensor, target: Tensor, ridge: float = RIDGE) -> Tensor:
    """Weights (D, M) that lead from ``basis`` (n, D) to ``target`` (n, M); ``ridge`` is relative."""
    basis, wanted = basis.double(), target.double()
    gram = basis.T @ basis
    gram += ridge * gram.diagonal().mean().clamp(min=1e-12) * torch.eye(len(gram), device=gram.device).double()
    weights: Tensor = torch.linalg.solve(gram, basis.T @ wanted)
    return weights.to(target.dtype)
