"""The shape of a change under L2: bumps that fall from the middle to the edge (fig. 4)."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


def scaled(values: Tensor, dim: int) -> Tensor:
    """``values`` at Euclidean norm 1 along ``dim``; zero stays zero."""
    size: Tensor = torch.linalg.vector_norm(values, dim=dim, keepdim=True)
    return values / size.clamp(min=1e-12)


@lru_cache
def bumps(height: int, width: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Two opposite bumps (height, width) of norm 1, one below and one beside the other (fig. 4)."""
    return pair(height, width).to(device, dtype), pair(width, height).T.to(device, dtype).contiguous()


def pair(rows: int, columns: int) -> Tensor:
    """A bump over its opposite, float64 (rows, columns)."""
    both = torch.cat((bump(rows // 2, columns), -bump(rows - rows // 2, columns)))
    return scaled(both.flatten(), 0).view_as(both)


def bump(rows: int, columns: int) -> Tensor:
    """Falls from the middle to the edge like a sum of nested squares of weight 1 / k^2, (rows, columns), norm 1."""
    row = (torch.arange(rows) - rows // 2).abs()[:, None]
    column = (torch.arange(columns) - columns // 2).abs()[None]
    reach = max(rows // 2, columns // 2) + 1
    weights = 1 / torch.arange(1, reach + 1, dtype=torch.float64).square()
    height = weights.flip(0).cumsum(0).flip(0)[torch.maximum(row, column)]
    return scaled(height.flatten(), 0).view_as(height)
