"""The classifiers besides :class:`advplug.families.DigitNet`: two small ones, and Madry's network for digits."""

from __future__ import annotations

from torch import nn

from advplug.families import SequentialModel, convolutions


class PoolingNet(SequentialModel):
    """Two convolutions of 5x5, each with max pooling, and a linear layer, 12,978 weights: unlike ``DigitNet``."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 12, 5, padding=2),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(12, 16, 5, padding=2),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(16 * 7**2, 10),
        )


class CifarNet(SequentialModel):
    """Four convolutions with batch normalisation and a linear layer, 113,482 weights, for (3, 32, 32).

    The strides come first: 4 million multiplications an image, so that attacks of hundreds of steps take seconds.
    """

    def __init__(self) -> None:
        stages = ((32, 2), (48, 2), (64, 1), (96, 2))
        super().__init__(*convolutions(3, stages), nn.Flatten(), nn.Linear(96 * 4**2, 10))


class MadryNet(SequentialModel):
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
