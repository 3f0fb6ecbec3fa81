"""The classifiers: two small ones that a CPU attacks in seconds, and the authors' ResNet."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from advplug.families import convolutions
from advplug.model import DefendedModel
from advplug_defense_mmc._centres import max_mahalanobis_centres


class CentreNet(DefendedModel):
    """Features from a sequence of layers, ten fixed centres, and the nearest one as the answer.

    ``centres`` (10, D) is computed, not trained, and therefore not part of the weights.
    """

    centres: Tensor

    def __init__(self, width: int, *layers: nn.Module) -> None:
        super().__init__(10)
        self.layers = nn.Sequential(*layers)
        self.register_buffer("centres", max_mahalanobis_centres(self.num_classes, width), persistent=False)

    def features(self, x: Tensor) -> Tensor:
        """The representation (N, D) whose distance to the centres decides, for images (N, C, H, W) in [0, 1]."""
        return cast(Tensor, self.layers(x))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, 10): the negative squared distance of the features to every centre."""
        # Not expanded to inner products: near a centre these would cancel.
        return -(self.features(x)[:, None] - self.centres).square().sum(2)


def digit_net() -> CentreNet:
    """Three strided convolutions with batch normalisation, 64 features, 67,984 weights, for (1, 28, 28)."""
    return CentreNet(64, *convolutions(1, ((16, 2), (32, 2), (48, 2))), nn.Flatten(), nn.Linear(48 * 4**2, 64))


def cifar_net() -> CentreNet:
    """Four convolutions with batch normalisation, 64 features, 145,000 weights, for (3, 32, 32).

    The strides come first: 2 million multiplications an image, so that nine targets of a hundred steps take a minute.
    """
    stages = ((32, 2), (48, 2), (64, 2), (64, 1))
    return CentreNet(64, *convolutions(3, stages), nn.Flatten(), nn.Linear(64 * 4**2, 64))


class Bottleneck(nn.Module):
    """Residual block of 1x1, 3x3 and 1x1 convolutions, each after batch normalisation and ReLU (ResNet v2)."""

    def __init__(self, inputs: int, inner: int, outputs: int, stride: int, *, plain_start: bool = False) -> None:
        super().__init__()
        before: list[nn.Module] = [] if plain_start else [nn.BatchNorm2d(inputs), nn.ReLU()]
        self.path = nn.Sequential(
            *before,
            nn.Conv2d(inputs, inner, 1, stride),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            nn.Conv2d(inner, inner, 3, padding=1),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            nn.Conv2d(inner, outputs, 1),
        )
        changed = stride != 1 or inputs != outputs
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride) if changed else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Responses (N, outputs, H / stride, W / stride)."""
        return cast(Tensor, self.shortcut(x) + self.path(x))


class PaperNet(CentreNet):
    """The ResNet v2 of the authors' code, 47 layers deep, with 256 features, for (3, 32, 32).

    ``mean`` (3, 32, 32) is subtracted from the images: the mean of the training images, which :meth:`centre_on` sets
    and the weights keep.
    """

    mean: Tensor

    def __init__(self, blocks: int = 5) -> None:
        layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()]
        width = 16
        for stage, outputs in enumerate((64, 128, 256)):
            inner = 16 if stage == 0 else outputs // 2
            for block in range(blocks):
                stride = 2 if stage and block == 0 else 1
                layers.append(Bottleneck(width, inner, outputs, stride, plain_start=stage == block == 0))
                width = outputs
        head = (nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 256))
        super().__init__(256, *layers, *head)
        self.register_buffer("mean", torch.zeros(3, 32, 32))

    def centre_on(self, images: Tensor) -> None:
        """Subtract the mean of ``images`` (N, 3, 32, 32) from now on."""
        self.mean.copy_(images.mean(0))

    def features(self, x: Tensor) -> Tensor:
        """The representation (N, 256) whose distance to the centres decides, for images (N, 3, 32, 32) in [0, 1]."""
        return super().features(x - self.mean)
