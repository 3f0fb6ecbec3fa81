"""Attack-space reduction: the coordinates of small grids that are scaled up to images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from advplug.errors import InvalidInput

REGIONS = 8
"""Importance is measured in so many regions along each side of an image (Chen et al. 2017, sec. 3.5)."""


@dataclass(frozen=True)
class Grids:
    """The values of a square grid for each channel, scaled up bilinearly to images (n, C, H, W) (sec. 3.3).

    Stage s has grids of ``sides[s]`` squared. A coordinate is numbered as in the largest grid, of side M: so a batch
    may hold samples of several stages. ``rows`` (S, H, M) and ``columns`` (S, W, M) are the weights that scale up.
    """

    shape: torch.Size
    sides: Tensor
    rows: Tensor
    columns: Tensor

    @classmethod
    def of(cls, images: Tensor, sides: tuple[int, ...]) -> Grids:
        """Grids of the given sides, one for each stage, for inputs like ``images``.

        Raises
        ------
        InvalidInput: the inputs are no images, or smaller than a grid.
        """
        if images.ndim != 4:
            raise InvalidInput(
                f"a space of {max(sides)} needs images (N, C, H, W), not {tuple(images.shape)}: leave it None"
            )
        smallest = min(images.shape[2:])
        if max(sides) > smallest:
            raise InvalidInput(f"a space of {max(sides)} exceeds the images, {tuple(images.shape[2:])}: give less")
        rows, columns = (
            torch.stack([_bilinear(side, length, max(sides)) for side in sides]).to(images)
            for length in images.shape[2:]
        )
        return cls(images.shape[1:], torch.tensor(sides, device=images.device), rows, columns)

    @property
    def side(self) -> int:
        """M, the side of the largest grid."""
        return int(self.rows.shape[2])

    @property
    def size(self) -> int:
        return self.shape[0] * self.side**2

    @property
    def fewest(self) -> int:
        return self.shape[0] * int(self.sides.min()) ** 2

    def directions(self, stage: Tensor, coordinates: Tensor) -> Tensor:
        channel, row, column = self._places(coordinates.T)
        patch = self.rows[stage, :, row][..., :, None] * self.columns[stage, :, column][..., None, :]
        image = patch.new_zeros(*patch.shape[:2], *self.shape)
        index = channel[..., None, None, None].expand(*patch.shape[:2], 1, *patch.shape[2:])
        return image.scatter_(2, index, patch[:, :, None])

    def peak(self, stage: Tensor, coordinates: Tensor) -> Tensor:
        channel, row, column = self._places(coordinates)
        high = self.rows[stage].argmax(1).gather(1, row)
        wide = self.columns[stage].argmax(1).gather(1, column)
        return (channel * self.shape[1] + high) * self.shape[2] + wide

    def spread(self, stage: Tensor, coordinates: Tensor, steps: Tensor) -> Tensor:
        grid = steps.new_zeros(len(steps), self.size).scatter_(1, coordinates, steps)
        grid = grid.unflatten(1, (self.shape[0], self.side, self.side))
        image: Tensor = self.rows[stage][:, None] @ grid @ self.columns[stage][:, None].mT
        return image

    def along(self, stage: Tensor, coordinates: Tensor, slopes: Tensor, *, squared: bool = False) -> Tensor:
        rows, columns = self.rows[stage][:, None], self.columns[stage][:, None]
        if squared:
            rows, columns = rows.square(), columns.square()
        return (rows.mT @ slopes @ columns).flatten(1).gather(1, coordinates)

    def weights(self, stage: Tensor, change: Tensor, *, importance: bool) -> Tensor:
        """As of :class:`Space`; with ``importance`` in proportion to the largest change in the region of each.

        Only from the second stage on: before, the search would keep to where it happened to begin.
        """
        place = torch.arange(self.side, device=change.device)
        there = (place < self.sides[stage][:, None]).to(change)  # (n, M)
        weights = (there[:, :, None] * there[:, None, :])[:, None].expand(-1, self.shape[0], -1, -1)
        if importance and len(self.sides) > 1:
            regions = torch.nn.functional.adaptive_max_pool2d(change.abs(), REGIONS)
            region = (place * REGIONS // self.sides[stage][:, None]).clamp_max(REGIONS - 1)
            sample = torch.arange(len(change), device=change.device)[:, None, None]
            share = regions.permute(0, 2, 3, 1)[sample, region[:, :, None], region[:, None, :]].permute(0, 3, 1, 2)
            weights = torch.where((stage > 0)[:, None, None, None], weights * share, weights)
        return weights.flatten(1)

    def _places(self, coordinates: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Channel, row and column in the largest grid."""
        within = coordinates % self.side**2
        return coordinates // self.side**2, within // self.side, within % self.side


def _bilinear(side: int, length: int, widest: int) -> Tensor:
    """How ``side`` values are scaled up to ``length`` bilinearly, (length, widest): zero beyond ``side``."""
    units = torch.eye(side)[:, None]
    weights = torch.nn.functional.interpolate(units, size=length, mode="linear", align_corners=False)[:, 0].T
    return torch.nn.functional.pad(weights, (0, widest - side))
