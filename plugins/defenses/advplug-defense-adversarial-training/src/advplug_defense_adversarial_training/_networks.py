"""The classifiers: two small ones that a CPU attacks in seconds, and Madry's network for digits. All use ReLU."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from advplug.model import DefendedModel


class _Layers(DefendedModel):
    """Ten classes through a sequence of layers."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__(10)
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, 10) for images (N, C, H, W) in [0, 1]."""
        return cast(Tensor, self.layers(x))


class DigitNet(_Layers):
    """Two strided convolutions and a hidden layer, 166,406 weights: the network of Wong et al. 2020 for MNIST."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 16, 4, 2, 1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 4, 2, 1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * 7**2, 100),
            nn.ReLU(),
            nn.Linear(100, 10),
        )


class CifarNet(_Layers):
    """Four convolutions with batch normalisation and a linear layer, 113,482 weights, for (3, 32, 32).

    The strides come first: 4 million multiplications an image, so that attacks of hundreds of steps take seconds.
    """

    def __init__(self) -> None:
        layers: list[nn.Module] = []
        width = 3
        for outputs, stride in ((32, 2), (48, 2), (64, 1), (96, 2)):
            layers += [nn.Conv2d(width, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
            width = outputs
        super().__init__(*layers, nn.Flatten(), nn.Linear(width * 4**2, 10))


class MadryNet(_Layers):
    """The authors' network for digits: two convolutions of 5x5, each with max pooling, and a hidden layer of 1024."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 32, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64 * 7**2, 1024),
            nn.ReLU(),
            nn.Linear(1024, 10),
        )
