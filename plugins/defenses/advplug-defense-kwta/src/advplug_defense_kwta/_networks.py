"""The classifiers: a small one that a CPU attacks in a minute, and the authors' ResNet-18."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from advplug.families import SequentialModel
from advplug.model import DefendedModel
from advplug_defense_kwta._activation import activation


class SmallNet(SequentialModel):
    """Three convolutions and a hidden layer, each with batch normalisation and a kWTA activation.

    The strides come first, because the attack on kWTA asks for tens of thousands of forward passes an image. Wide
    layers of few winners are what makes the responses jump, so the hidden layer is wide for so small a network.

    Parameters
    ----------
    shape: channels and side of the input images.
    gamma: fraction of winners in every layer, None for ReLU.
    channels: of the convolutions.
    strides: of the convolutions.
    hidden: width of the hidden layer.
    num_classes: number of classes K.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        gamma: float | None,
        *,
        channels: Sequence[int],
        strides: Sequence[int],
        hidden: int,
        num_classes: int = 10,
    ) -> None:
        width, side = shape
        layers: list[nn.Module] = []
        for kernel, outputs, stride in zip((5, 3, 3), channels, strides, strict=True):
            layers += [
                nn.Conv2d(width, outputs, kernel, stride, kernel // 2, bias=False),
                nn.BatchNorm2d(outputs),
                activation(gamma),
            ]
            width, side = outputs, -(-side // stride)
        layers += [
            nn.Flatten(),
            nn.Linear(width * side**2, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            activation(gamma),
            nn.Linear(hidden, num_classes),
        ]
        super().__init__(*layers, num_classes=num_classes)


class Block(nn.Module):
    """Residual block without ReLU: kWTA alone is its non-linearity, before and after the second sum."""

    def __init__(self, inputs: int, outputs: int, stride: int, gamma: float | None) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), activation(gamma)
        )
        self.second = nn.Sequential(nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.last = activation(gamma)

    def forward(self, x: Tensor) -> Tensor:
        """Responses (N, outputs, H / stride, W / stride)."""
        return cast(Tensor, self.last(self.second(self.first(x)) + self.shortcut(x)))


class ResNet18(DefendedModel):
    """The authors' ResNet-18 for 32x32 images: a ReLU stem, then four stages of two kWTA blocks."""

    def __init__(self, gamma: float | None, width: int = 64, num_classes: int = 10) -> None:
        super().__init__(num_classes)
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        blocks: list[nn.Module] = []
        inputs = width
        for stage in range(4):
            outputs = width * 2**stage
            blocks += [Block(inputs, outputs, 1 if stage == 0 else 2, gamma), Block(outputs, outputs, 1, gamma)]
            inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(inputs, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, K) for images (N, 3, 32, 32) in [0, 1]."""
        return cast(Tensor, self.head(self.blocks(self.stem(x)).mean((2, 3))))
