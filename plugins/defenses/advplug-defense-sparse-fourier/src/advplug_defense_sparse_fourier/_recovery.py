"""Iterative hard thresholding: an image of few cosines, and few pixels that were changed."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from advplug.errors import InvalidInput


class Sparsity(NamedTuple):
    """Of each channel: how many ``cosines`` (k) make up an image, and how many ``pixels`` (t) may have been changed.

    ``iterations`` (T) separate the two.
    """

    cosines: int
    pixels: int
    iterations: int


class IterativeHardThresholding(nn.Module):
    """The preprocessor p of Bafna et al. 2018: from an image to the sparse sum of cosines that it was taken from.

    An image is taken for y = x + e, where x has ``cosines`` coefficients in the orthonormal discrete cosine transform F
    and e has ``pixels`` values. Both are estimated in turn, with e_0 = 0::

        c_i = H_k(F(y - e_{i-1})),    e_i = H_t(y - F^-1 c_i)

    H_n keeps the n largest magnitudes of a channel. The derivative is that of the entries that are kept.

    Parameters
    ----------
    side: height and width of the images.
    sparsity: k, t and T.

    Raises
    ------
    InvalidInput: no iteration, or more coefficients or pixels than a channel has.
    """

    basis: Tensor

    def __init__(self, side: int, sparsity: Sparsity) -> None:
        super().__init__()
        if not (1 <= sparsity.cosines <= side**2 and 0 <= sparsity.pixels <= side**2 and sparsity.iterations >= 1):
            raise InvalidInput(
                f"{sparsity}: a channel has {side**2} cosines and pixels, and one iteration is the least"
            )
        self.sparsity = sparsity
        self.register_buffer("basis", cosine_basis(side), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """F^-1 c_T (N, C, side, side) for images of that shape."""
        return self.separated(x)[0]

    def separated(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """F^-1 c_T and e_T: the image, and what is taken for changed, both of the shape of ``x`` (N, C, side, side)."""
        image, changed = x, torch.zeros_like(x)
        for _ in range(self.sparsity.iterations):
            image = self.compressed(x - changed)
            changed = largest(x - image, self.sparsity.pixels)
        return image, changed

    def compressed(self, x: Tensor) -> Tensor:
        """F^-1 H_k(F x), of the shape of ``x`` (N, C, side, side): what the classifier is trained on."""
        basis = self.basis.to(x.dtype)
        return basis.T @ largest(basis @ x @ basis.T, self.sparsity.cosines) @ basis


def cosine_basis(side: int) -> Tensor:
    """The orthonormal cosines (side, side) of the DCT-II, one in each row."""
    place = torch.arange(side, dtype=torch.float64)
    cosines = torch.cos(math.pi * place[:, None] * (2 * place + 1) / (2 * side)) * math.sqrt(2 / side)
    cosines[0] /= math.sqrt(2)
    return cosines.float()


def largest(x: Tensor, count: int) -> Tensor:
    """``x`` (N, C, H, W) with zeros in place of all but the ``count`` largest magnitudes of each channel."""
    flat = x.flatten(2)
    kept = flat.detach().abs().topk(count, dim=2).indices
    mask = torch.zeros_like(flat).scatter(2, kept, 1.0)
    return (mask * flat).view_as(x)
