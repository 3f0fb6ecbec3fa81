"""The training of the ensemble: a hinge on every bit, on images that were disturbed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from advplug.training import Batch
from advplug_defense_ecoc._model import EnsembleOfBits


@dataclass(frozen=True, kw_only=True)
class Hinge:
    """Mean over bits of ``max(0, 1 - c b)`` for bit b and the bit c of the label's codeword.

    In training alone images get Gaussian noise, then a share of another image of the batch, turned by any angle and
    shifted by up to ``SHIFT`` pixels.

    Parameters
    ----------
    noise: standard deviation.
    blend: share of the other image.
    """

    noise: float
    blend: float

    def __call__(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """The loss, and the decoded logits (N, codewords)."""
        ensemble = cast(EnsembleOfBits, model)
        bits = ensemble.bits(self.disturbed(batch.x, batch.generator))
        wanted = ensemble.code[batch.y]
        return (1 - wanted * bits).clamp(min=0).mean(), ensemble.decode(bits)

    def disturbed(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """``x`` (N, C, H, W) in [0, 1] with noise and another image blended in, still in [0, 1]."""
        noisy = x + self.noise * torch.randn(x.shape, generator=generator).to(x)
        others = noisy[torch.randperm(len(x), generator=generator).to(x.device)]
        return ((1 - self.blend) * noisy + self.blend * _turned(others, generator).clamp(0, 1)).clamp(0, 1)


SHIFT = 4
"""Pixels by which a blended image is shifted at most."""


def _turned(x: Tensor, generator: torch.Generator) -> Tensor:
    """Each image turned by an angle of its own and shifted; what comes into view is mid-grey."""
    angle, *shifts = 2 * torch.rand(3, len(x), generator=generator).to(x) - 1
    cos, sin = (math.pi * angle).cos(), (math.pi * angle).sin()
    across, down = (2 * SHIFT / size * shift for size, shift in zip((x.shape[3], x.shape[2]), shifts, strict=True))
    motion = torch.stack((torch.stack((cos, -sin, across), 1), torch.stack((sin, cos, down), 1)), 1)
    grid = F.affine_grid(motion, list(x.shape), align_corners=False)
    return F.grid_sample(x - 0.5, grid, align_corners=False) + 0.5
