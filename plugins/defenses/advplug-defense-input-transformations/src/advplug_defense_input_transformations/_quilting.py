"""Images pieced together from patches of clean ones (Efros and Freeman 2001; Guo et al. 2018, sec. 3.3)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from advplug.errors import InvalidInput
from advplug.hyperparameters import Count, Natural
from advplug_defense_input_transformations._transformation import Transformation, side_of

ROWS = 4096
"""Patches that are compared with the database at once."""


@dataclass(frozen=True, eq=False)
class Quilting(Transformation):
    """Every patch of the image gives way to one of the nearest in a database; seams follow the least difference.

    Distances are those between patches in L2. Among the ``neighbours`` nearest each is as likely.

    Parameters
    ----------
    patches: the database, float (M, C, s, s) in [0, 1].
    overlap: of neighbouring patches, in pixels.
    neighbours: patches to choose among.
    seams: cut overlaps where both patches differ least; else the later patch covers the earlier one.

    Raises
    ------
    InvalidInput: too few patches, or images that they do not tile.
    """

    patches: Tensor = field(repr=False)
    overlap: Natural = 2
    neighbours: Count = 10
    seams: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        shape = self.patches.shape
        if len(shape) != 4 or shape[2] != shape[3] or len(self.patches) < self.neighbours:
            raise InvalidInput(f"patches have shape {tuple(shape)}: give (M, C, s, s), at least {self.neighbours}")
        if not self.overlap < self.size:
            raise InvalidInput(f"overlap is {self.overlap}: give less than the side of a patch, {self.size}")

    @property
    def random(self) -> bool:
        return self.neighbours > 1

    @property
    def size(self) -> int:
        """Side s of a patch."""
        return self.patches.shape[3]

    @torch.no_grad()
    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        side, stride = side_of(x, "Quilting"), self.size - self.overlap
        if (side - self.size) % stride or x.shape[1] != self.patches.shape[1]:
            wanted = f"{self.patches.shape[1]} channels and a side of {self.size} + a multiple of {stride}"
            raise InvalidInput(f"these patches take images with {wanted}, not {tuple(x.shape[1:])}")
        chosen = self._chosen(x, stride, generator)
        starts = range(0, side - self.size + 1, stride)
        quilt = torch.zeros_like(x)
        for row, top in enumerate(starts):
            for column, left in enumerate(starts):
                place = quilt[:, :, top : top + self.size, left : left + self.size]
                patch = chosen[:, row * len(starts) + column]
                place.copy_(torch.where(self._covers(place, patch, row > 0, column > 0), patch, place))
        return quilt

    def _chosen(self, x: Tensor, stride: int, generator: torch.Generator | None) -> Tensor:
        """For each patch of ``x`` one of the nearest, (N, places, C, s, s)."""
        own = F.unfold(x, self.size, stride=stride).transpose(1, 2)
        database = self.patches.to(x)
        nearest = [
            torch.cdist(rows, database.flatten(1)).topk(self.neighbours, largest=False).indices
            for rows in own.flatten(0, 1).split(ROWS)
        ]
        draws = torch.rand(own.shape[0] * own.shape[1], 1, generator=generator).to(x.device)
        indices = torch.cat(nearest).gather(1, (draws * self.neighbours).long())
        return database[indices.view(own.shape[:2])]

    def _covers(self, below: Tensor, patch: Tensor, above: bool, beside: bool) -> Tensor:
        """Where ``patch`` (N, C, s, s) covers what lies there already, bool (N, 1, s, s)."""
        covers = torch.ones(len(patch), self.size, self.size, dtype=torch.bool, device=patch.device)
        if self.seams and self.overlap:
            error = (below - patch).square().sum(1)
            if beside:
                covers[:, :, : self.overlap] &= _after_seam(error[:, :, : self.overlap])
            if above:
                covers[:, : self.overlap] &= _after_seam(error[:, : self.overlap].transpose(1, 2)).transpose(1, 2)
        return covers[:, None]


def _after_seam(error: Tensor) -> Tensor:
    """Which of ``error`` (N, L, W) lie on or after the path of least sum from the first to the last row; bool.

    From row to row the path moves by one column at most.
    """
    columns = torch.arange(error.shape[2], device=error.device)
    cost, moves = error[:, 0], []
    for row in error.unbind(1)[1:]:
        around = F.pad(cost, (1, 1), value=torch.inf).unfold(1, 3, 1)
        least, move = around.min(2)
        cost = row + least
        moves.append(columns + move - 1)
    place = cost.argmin(1)
    path = [place]
    for move in reversed(moves):
        place = move.gather(1, place[:, None]).squeeze(1)
        path.append(place)
    return columns >= torch.stack(path[::-1], 1)[:, :, None]
