"""The ensemble: independent networks (chunks), each with a few heads of one bit, run side by side as groups of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn


class Layer(NamedTuple):
    """A convolution of a chunk's trunk: filters, kernel size, stride."""

    width: int
    kernel: int
    stride: int


def authors_trunk(*widths: int) -> tuple[Layer, ...]:
    """For each width two convolutions and a third that halves the image; kernels of 5 come first, then of 3."""
    trunk: list[Layer] = []
    for place, width in enumerate(widths):
        trunk += [Layer(width, 3 if place else 5, 1)] * 2 + [Layer(width, 3, 2)]
    return tuple(trunk)


class Bits(nn.Module):
    """Outputs of all heads before their activation, (N, chunks * heads), for images (N, C, H, W) in [0, 1].

    A head reads the trunk of its chunk and a branch of its own that sees the image in grey. Every non-linearity is an
    ELU, which batch normalisation follows where there is one.

    Parameters
    ----------
    channels, side: of the images.
    trunk: layers of a chunk, strides of 8 in total.
    branch: filters of the grey branches and of the heads.
    strides: of the three convolutions of a branch, 8 in total.
    dense: hidden layers of a head; of several the last is linear.
    chunks, heads: independent networks, and heads of each.
    normalise: batch normalisation in the trunk.
    """

    def __init__(
        self,
        channels: int,
        side: int,
        *,
        trunk: Sequence[Layer],
        branch: int,
        strides: tuple[int, int, int] = (2, 2, 2),
        dense: Sequence[int] = (16, 8, 4, 2),
        chunks: int = 4,
        heads: int = 4,
        normalise: bool,
    ) -> None:
        super().__init__()
        self.chunks, self.heads = chunks, heads
        bits, left = chunks * heads, -(-side // 8)
        self.trunk = nn.Sequential(*_trunk(channels, trunk, chunks, normalise))
        grey: list[nn.Module] = []
        for place, (kernel, stride) in enumerate(zip((5, 3, 3), strides, strict=True)):
            grey += _grouped(branch if place else 1, branch, bits, kernel, stride, shared=not place)
        self.branch = nn.Sequential(*grey)
        head: list[nn.Module] = []
        for inputs in (branch + trunk[-1].width, branch):
            # As the authors' framework pads even kernels: on the far sides alone.
            head += [nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(bits * inputs, bits * branch, 2, groups=bits), nn.ELU()]
        inputs, kernel = branch, left
        for outputs in dense:
            head += [nn.Conv2d(bits * inputs, bits * outputs, kernel, groups=bits), nn.ELU()]
            inputs, kernel = outputs, 1
        if len(dense) > 1:  # the authors leave the last hidden layer linear
            head.pop()
        head.append(nn.Conv2d(bits * inputs, bits, kernel, groups=bits))
        self.head = nn.Sequential(*head, nn.Flatten())

    def forward(self, x: Tensor) -> Tensor:
        """Bits (N, chunks * heads), positive for +1."""
        x = x - 0.5
        shared = self.trunk(x).unflatten(1, (self.chunks, 1, -1)).expand(-1, -1, self.heads, -1, -1, -1)
        own = self.branch(x.mean(1, keepdim=True)).unflatten(1, (self.chunks, self.heads, -1))
        return cast(Tensor, self.head(torch.cat((own, shared), 3).flatten(1, 3)))


def _grouped(inputs: int, outputs: int, groups: int, kernel: int, stride: int, *, shared: bool) -> list[nn.Module]:
    """A convolution and ELU for each group; of one input that all groups share, or each of its own."""
    taken, ways = (inputs, 1) if shared else (groups * inputs, groups)
    return [nn.Conv2d(taken, groups * outputs, kernel, stride, kernel // 2, groups=ways), nn.ELU()]


def _trunk(channels: int, layers: Sequence[Layer], chunks: int, normalise: bool) -> list[nn.Module]:
    found: list[nn.Module] = []
    inputs = channels
    for place, (width, kernel, stride) in enumerate(layers):
        found += _grouped(inputs, width, chunks, kernel, stride, shared=not place)
        if normalise and place < len(layers) - 1:
            found.append(nn.BatchNorm2d(chunks * width))
        inputs = width
    return found
