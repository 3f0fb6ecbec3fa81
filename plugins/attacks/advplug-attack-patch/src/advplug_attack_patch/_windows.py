"""Squares of each sample's own size in images."""

from __future__ import annotations

import torch
from torch import Tensor


def window_sums(values: Tensor, side: Tensor) -> Tensor:
    """The sum of ``values`` (n, H, W) in the square of ``side`` (n,) from each corner on, (n, H, W).

    Minus infinity where the square would leave the image.
    """
    height, width = values.shape[1:]
    upto = torch.nn.functional.pad(values.cumsum(1).cumsum(2), (1, 0, 1, 0))  # sums of all before a row and column
    sample = torch.arange(len(values), device=values.device)[:, None, None]
    top = torch.arange(height, device=values.device)[None].expand(len(values), -1)
    left = torch.arange(width, device=values.device)[None].expand(len(values), -1)
    bottom, right = (top + side[:, None]).clamp(max=height), (left + side[:, None]).clamp(max=width)

    def at(rows: Tensor, columns: Tensor) -> Tensor:
        return upto[sample, rows[:, :, None], columns[:, None, :]]

    sums = at(bottom, right) - at(top, right) - at(bottom, left) + at(top, left)
    fits = (top + side[:, None] <= height)[:, :, None] & (left + side[:, None] <= width)[:, None, :]
    return sums.masked_fill(~fits, -torch.inf)


def inside(corner: Tensor, side: Tensor, height: int, width: int) -> Tensor:
    """Marks the square of ``side`` (n,) from ``corner`` int64 (n, 2) on, bool (n, 1, H, W)."""
    rows = torch.arange(height, device=side.device)[None]
    columns = torch.arange(width, device=side.device)[None]
    end = corner + side[:, None]
    tall = (rows >= corner[:, :1]) & (rows < end[:, :1])
    wide = (columns >= corner[:, 1:]) & (columns < end[:, 1:])
    return (tall[:, :, None] & wide[:, None, :])[:, None]


def far_from(corner: Tensor, side: Tensor, height: int, width: int) -> Tensor:
    """Marks the corners of squares that share less than a quarter with the one at ``corner`` (n, 2), bool (n, H, W)."""
    rows = torch.arange(height, device=side.device)[None]
    columns = torch.arange(width, device=side.device)[None]
    half = (side[:, None] + 1) // 2
    tall, wide = (rows - corner[:, :1]).abs() >= half, (columns - corner[:, 1:]).abs() >= half
    return tall[:, :, None] | wide[:, None, :]
