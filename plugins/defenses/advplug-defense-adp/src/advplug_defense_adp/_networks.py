"""The members: residual networks (He et al. 2016, version 1) of any width and depth."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn


class Block(nn.Module):
    """Two 3x3 convolutions with batch normalisation and a way around them; a 1x1 convolution where shapes differ."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            *_convolution(inputs, outputs, stride),
            nn.ReLU(),
            *_convolution(outputs, outputs, 1),
        )
        same = inputs == outputs and stride == 1
        self.around = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, (self.residual(x) + self.around(x)).relu())


def residual_network(channels: int, width: int, blocks: int, stride: int = 1) -> nn.Sequential:
    """Scores (N, 10) for images (N, channels, H, W): three stages of ``width``, 2 and 4 times ``width`` filters.

    Parameters
    ----------
    channels: of the images.
    width: filters of the first stage; the authors' is 16.
    blocks: in each stage; 3 make the authors' ResNet-20.
    stride: of the first convolution; the authors' is 1.
    """
    layers: list[nn.Module] = [*_convolution(channels, width, stride), nn.ReLU()]
    inputs = width
    for stage in range(3):
        outputs = width * 2**stage
        for block in range(blocks):
            layers.append(Block(inputs, outputs, 2 if stage > 0 and block == 0 else 1))
            inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 10))


def _convolution(inputs: int, outputs: int, stride: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
