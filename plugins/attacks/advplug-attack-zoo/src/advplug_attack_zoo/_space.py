"""The coordinates of the search, and how they are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Space(Protocol):
    """Directions of change, numbered 0 to ``size``; those that a sample has depend on its stage, int64 (n,).

    Images, changes and their slopes are (n, ...); ``coordinates`` int64 (n, B), one row of directions per sample.
    """

    @property
    def size(self) -> int: ...

    @property
    def fewest(self) -> int:
        """The least number of directions that any stage has."""

    def directions(self, stage: Tensor, coordinates: Tensor) -> Tensor:
        """The change that each coordinate stands for, (B, n, ...)."""

    def peak(self, stage: Tensor, coordinates: Tensor) -> Tensor:
        """The value that moves most along each coordinate, an index into a flattened input, int64 (n, B)."""

    def spread(self, stage: Tensor, coordinates: Tensor, steps: Tensor) -> Tensor:
        """The sum of ``steps`` (n, B) along the coordinates, (n, ...)."""

    def along(self, stage: Tensor, coordinates: Tensor, slopes: Tensor, *, squared: bool = False) -> Tensor:
        """``slopes`` (n, ...) summed with the weights that each coordinate gives to them, (n, B)."""

    def weights(self, stage: Tensor, change: Tensor, *, importance: bool) -> Tensor:
        """Relative probabilities of the coordinates, (n, size); zero for those that the stage lacks."""


@dataclass(frozen=True)
class Values:
    """Each value of an input of the given shape is a coordinate."""

    shape: torch.Size

    @property
    def size(self) -> int:
        return self.shape.numel()

    @property
    def fewest(self) -> int:
        return self.size

    def directions(self, stage: Tensor, coordinates: Tensor) -> Tensor:
        flat = torch.zeros(*coordinates.T.shape, self.size, dtype=torch.float32, device=stage.device)
        return flat.scatter_(2, coordinates.T[..., None], 1).view(*flat.shape[:2], *self.shape)

    def peak(self, stage: Tensor, coordinates: Tensor) -> Tensor:
        return coordinates

    def spread(self, stage: Tensor, coordinates: Tensor, steps: Tensor) -> Tensor:
        flat = steps.new_zeros(len(steps), self.size)
        return flat.scatter_(1, coordinates, steps).view(-1, *self.shape)

    def along(self, stage: Tensor, coordinates: Tensor, slopes: Tensor, *, squared: bool = False) -> Tensor:
        return slopes.flatten(1).gather(1, coordinates)

    def weights(self, stage: Tensor, change: Tensor, *, importance: bool) -> Tensor:
        return torch.ones_like(change).flatten(1)


def drawn(weights: Tensor, uniform: Tensor, count: int) -> Tensor:
    """``count`` different coordinates for each sample, int64 (n, count), one after the other by ``weights`` (n, size).

    ``uniform`` (n, size) are random numbers in [0, 1). Where fewer have a weight above zero, those come first.
    Gumbel numbers turn it into a choice of the largest (Yellott 1977).
    """
    gumbel = -(-uniform.double().clamp_min(2.0**-25).log()).log()
    return (weights.double().log().clamp_min(-1e30) + gumbel).topk(count, dim=1).indices
