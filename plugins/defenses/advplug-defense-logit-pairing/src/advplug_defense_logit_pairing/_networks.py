"""The classifiers besides :class:`advplug.families.DigitNet`: one for CIFAR-10, and the LeNet of the authors."""

from __future__ import annotations

from torch import nn

from advplug.families import SequentialModel, convolutions


class CifarNet(SequentialModel):
    """Four convolutions with batch normalisation and a linear layer, 57,082 weights, for (3, 32, 32).

    The strides come first: 1 million multiplications an image, so that a hundred restarts take a minute.
    """

    def __init__(self) -> None:
        stages = ((16, 2), (32, 2), (48, 2), (64, 1))
        super().__init__(*convolutions(3, stages), nn.Flatten(), nn.Linear(64 * 4**2, 10))


class LeNet(SequentialModel):
    """The network for digits of Mosbach et al. 2018: two convolutions with pooling and a hidden layer of 1024."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64 * 7**2, 1024),
            nn.ReLU(),
            nn.Linear(1024, 10),
        )
