"""A differentiable JPEG: cosine transform and tables as in the standard, rounding softened (Shin and Song 2017)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

BLOCK = 8
COLOURS = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
"""Luminance, blue and red difference of an image in red, green and blue."""


def soft_jpeg(x: Tensor, tables: Tensor) -> Tensor:
    """``x`` (N, C, H, W) in [0, 1] coded with the quantisation ``tables`` (T, 8, 8) and decoded.

    Grey images take the first table. Images in colour take the second one for colours, which are halved in size.
    """
    height, width = x.shape[2:]
    step = 2 * BLOCK if x.shape[1] == 3 else BLOCK
    padded = F.pad(x, (0, -width % step, 0, -height % step), mode="replicate")
    if x.shape[1] == 1:
        return (_coded(255 * padded - 128, tables[0]) + 128)[..., :height, :width] / 255
    matrix = torch.tensor(COLOURS, dtype=x.dtype, device=x.device)
    planes = torch.einsum("kc,nchw->nkhw", matrix, 255 * padded)
    luminance = _coded(planes[:, :1] - 128, tables[0]) + 128
    colours = F.interpolate(_coded(F.avg_pool2d(planes[:, 1:], 2), tables[-1]), scale_factor=2, mode="nearest")
    decoded = torch.einsum("ck,nkhw->nchw", torch.linalg.inv(matrix), torch.cat((luminance, colours), 1))
    return decoded[..., :height, :width] / 255


def _coded(planes: Tensor, table: Tensor) -> Tensor:
    """Planes (N, K, H, W), whose sides are multiples of 8, with softly rounded coefficients."""
    cosine = _cosine(planes)
    blocks = planes.unflatten(3, (-1, BLOCK)).unflatten(2, (-1, BLOCK)).transpose(3, 4)  # (N, K, h, w, 8, 8)
    rounded = _softly_rounded(cosine @ blocks @ cosine.T / table.to(planes)) * table.to(planes)
    return (cosine.T @ rounded @ cosine).transpose(3, 4).flatten(4, 5).flatten(2, 3)


def _softly_rounded(z: Tensor) -> Tensor:
    """The nearest whole number plus the cube of what is missing: steepest where a small change moves it."""
    whole = z.detach().round()
    return whole + (z - whole) ** 3


def _cosine(like: Tensor) -> Tensor:
    """The orthogonal matrix (8, 8) of the discrete cosine transform."""
    places = torch.arange(BLOCK, dtype=torch.float64)
    matrix = torch.cos(math.pi / BLOCK * places[:, None] * (places + 0.5)) * math.sqrt(2 / BLOCK)
    matrix[0] /= math.sqrt(2)
    return matrix.to(like)
