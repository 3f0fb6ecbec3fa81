"""Images rebuilt from some of their pixels with little total variation (Guo et al. 2018, sec. 3.2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from advplug.hyperparameters import Count, Positive, PositiveShare
from advplug_defense_input_transformations._transformation import Transformation


@dataclass(frozen=True)
class TotalVariation(Transformation):
    """Minimise ``sum M (z - x)^2 + weight TV(z)`` over images z, for a random mask M that all channels share.

    By the split Bregman method (Goldstein and Osher 2009) with one sweep of Gauss and Seidel in each round, as in the
    authors' code. TV is the sum of absolute differences of neighbours. Pixels outside the mask follow their neighbours
    alone.

    Parameters
    ----------
    keep: share of the pixels in the mask.
    weight: of the total variation.
    sweeps: rounds at most.
    tolerance: an image is done when its norm changes in a round by a smaller share than this.
    """

    random = True

    keep: PositiveShare = 0.5
    weight: Positive = 0.03
    sweeps: Count = 100
    tolerance: Positive = 1e-3

    @torch.no_grad()
    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        drawn = torch.rand(len(x), 1, *x.shape[2:], generator=generator).to(x)
        return self.rebuilt(x, (drawn < self.keep).to(x))

    @torch.no_grad()
    def rebuilt(self, x: Tensor, mask: Tensor) -> Tensor:
        """The minimiser for images ``x`` (N, C, H, W) and a mask (N, 1, H, W) of zeros and ones."""
        fidelity = 2 / self.weight
        coupling = 2 * fidelity
        rows, columns = (torch.arange(length, device=x.device) for length in x.shape[2:])
        colours = [(rows[:, None] + columns) % 2 == colour for colour in (0, 1)]  # of a chessboard
        z = x * mask
        split = x.new_zeros(2, *x.shape)  # of the differences to the pixel below and to the right
        bregman = torch.zeros_like(split)
        moving = torch.ones(len(x), 1, 1, 1, dtype=torch.bool, device=x.device)
        for _ in range(self.sweeps):
            source = fidelity * mask * x + coupling * _adjoint(split - bregman)
            fresh = z
            for colour in colours:  # neighbours have the other colour: all pixels of one move at once
                solved = (source + coupling * _neighbours(fresh)) / (fidelity * mask + 4 * coupling)
                fresh = torch.where(colour, solved, fresh)
            differences = _differences(fresh)
            held = differences + bregman
            shrunk = held.sign() * (held.abs() - 1 / coupling).clamp(min=0)
            change = (fresh - z).flatten(1).norm(dim=1) / z.flatten(1).norm(dim=1).clamp(min=1e-12)
            z, split = torch.where(moving, fresh, z), torch.where(moving, shrunk, split)
            bregman = torch.where(moving, held - shrunk, bregman)
            moving = moving & (change > self.tolerance).view(-1, 1, 1, 1)
            if not moving.any():
                break
        return z.clamp(0, 1)


def _neighbours(z: Tensor) -> Tensor:
    """Sum of the four neighbours; at the border a pixel is its own neighbour."""
    p = F.pad(z, (1, 1, 1, 1), mode="replicate")
    return p[..., :-2, 1:-1] + p[..., 2:, 1:-1] + p[..., 1:-1, :-2] + p[..., 1:-1, 2:]


def _differences(z: Tensor) -> Tensor:
    """Neighbour below and to the right, minus the pixel, (2, N, C, H, W); zero at the border."""
    p = F.pad(z, (0, 1, 0, 1), mode="replicate")
    return torch.stack((p[..., 1:, :-1] - z, p[..., :-1, 1:] - z))


def _adjoint(fields: Tensor) -> Tensor:
    """The adjoint of :func:`_differences`, (N, C, H, W) for (2, N, C, H, W)."""
    down, across = fields
    down = F.pad(down[..., :-1, :], (0, 0, 1, 1))
    across = F.pad(across[..., :, :-1], (1, 1))
    return (down[..., :-1, :] - down[..., 1:, :]) + (across[..., :, :-1] - across[..., :, 1:])
