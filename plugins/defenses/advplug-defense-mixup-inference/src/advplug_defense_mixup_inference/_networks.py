"""The networks under the defense: a small one that a CPU attacks in a minute, and the authors' ResNet-50."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn


def small(channels: int, side: int, widths: Sequence[int], strides: Sequence[int], num_classes: int = 10) -> nn.Module:
    """Convolutions of 3x3 with batch normalisation and ReLU, then a linear layer: logits (N, K) for (N, C, side, side).

    Attacks run it sixteen times for each answer of the defense, so the strides come first.
    """
    layers: list[nn.Module] = []
    for width, stride in zip(widths, strides, strict=True):
        layers += [_normalised(channels, width, 3, stride), nn.ReLU()]
        channels, side = width, -(-side // stride)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * side**2, num_classes))


def resnet50(num_classes: int = 10) -> nn.Module:
    """ResNet-50 for 32x32 images: a stem of 3x3 without pooling, then stages of 3, 4, 6 and 3 bottlenecks."""
    layers: list[nn.Module] = [_normalised(3, 64, 3, 1), nn.ReLU()]
    inputs = 64
    for stage, blocks in enumerate((3, 4, 6, 3)):
        width = 64 * 2**stage
        for block in range(blocks):
            layers.append(Bottleneck(inputs, width, 2 if stage and not block else 1))
            inputs = 4 * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, num_classes))


class Bottleneck(nn.Module):
    """Residual block of 1x1, 3x3 and 1x1 convolutions; four times as many responses as ``width`` come out."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            _normalised(inputs, width, 1, 1),
            nn.ReLU(),
            _normalised(width, width, 3, stride),
            nn.ReLU(),
            _normalised(width, 4 * width, 1, 1),
        )
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != 4 * width:
            self.shortcut = _normalised(inputs, 4 * width, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Responses (N, 4 * width, H / stride, W / stride)."""
        return cast(Tensor, (self.residual(x) + self.shortcut(x)).relu())


def _normalised(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))
