"""The authors' classifier for CIFAR-10: VGG-19 with batch normalisation, behind the normalisation of ImageNet."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from advplug.model import DefendedModel

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
WIDTHS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
"""Channels and number of the convolutions between two poolings."""


class VGG19(DefendedModel):
    """Sixteen convolutions of 3x3 in five groups, each with max pooling, and a linear layer, for (3, 32, 32)."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__(10)
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1))
        layers: list[nn.Module] = []
        inputs = 3
        for outputs, count in WIDTHS:
            for _ in range(count):
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
                inputs = outputs
            layers.append(nn.MaxPool2d(2))
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(inputs, 10))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, 10) for images (N, 3, 32, 32) in [0, 1]."""
        return cast(Tensor, self.layers((x - self.mean) / self.std))
