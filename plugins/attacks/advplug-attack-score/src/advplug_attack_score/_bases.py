"""Orthonormal bases of the inputs: single values, and the frequencies of a discrete cosine transform."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor


class Basis(Protocol):
    """Unit vectors of the shape of an input, numbered from 0 to ``count``."""

    @property
    def count(self) -> int: ...

    def vectors(self, numbers: Tensor, like: Tensor) -> Tensor:
        """The vectors ``numbers``, int64 (n,), each in the shape of a sample of ``like`` (n, ...)."""


@dataclass(frozen=True)
class Pixels:
    """Each value of an input of that shape by itself."""

    shape: torch.Size

    @property
    def count(self) -> int:
        return self.shape.numel()

    def vectors(self, numbers: Tensor, like: Tensor) -> Tensor:
        flat = torch.zeros_like(like).flatten(1)
        return flat.scatter_(1, numbers[:, None], 1).view_as(like)


@dataclass(frozen=True)
class Cosines:
    """The low frequencies of each channel: the ``share`` of them along each of the last two dimensions (sec. 3.2).

    An input without channels is one channel, a vector one row.
    """

    shape: torch.Size
    share: float

    @property
    def grid(self) -> tuple[int, int, int]:
        """Channels, and frequencies along rows and columns."""
        height, width = self.size
        kept = [max(1, math.ceil(self.share * side)) for side in (height, width)]
        return self.shape.numel() // (height * width), kept[0], kept[1]

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of an input."""
        return (1, self.shape[0]) if len(self.shape) == 1 else (self.shape[-2], self.shape[-1])

    @property
    def count(self) -> int:
        return math.prod(self.grid)

    def vectors(self, numbers: Tensor, like: Tensor) -> Tensor:
        _, rows, columns = self.grid
        height, width = self.size
        down = cosines(height, like.device, like.dtype)[numbers // columns % rows]
        across = cosines(width, like.device, like.dtype)[numbers % columns]
        images = torch.zeros_like(like).view(len(like), -1, height, width)
        channel = (numbers // (rows * columns)).view(-1, 1, 1, 1).expand(-1, 1, height, width)
        return images.scatter_(1, channel, (down[:, :, None] * across[:, None])[:, None]).view_as(like)


@lru_cache
def cosines(length: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """The orthonormal DCT-II: row k is the cosine of frequency k, (length, length)."""
    place = torch.arange(length, dtype=torch.float64)
    waves = torch.cos(math.pi / length * (place + 0.5) * place[:, None])
    return torch.nn.functional.normalize(waves, dim=1).to(device, dtype)
