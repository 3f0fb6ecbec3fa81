"""The small classifiers, which a CPU attacks in seconds."""

from __future__ import annotations

from torch import nn

from advplug.families import SequentialModel, convolutions


class DigitNet(SequentialModel):
    """Three strided convolutions and a hidden layer of 64, 47,786 weights, for (1, 28, 28)."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 16, 5, 2, 2),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, 2, 1),
            nn.ReLU(),
            nn.Conv2d(32, 32, 3, 2, 1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * 4**2, 64),
            nn.ReLU(),
            nn.Linear(64, 10),
        )


class CifarNet(SequentialModel):
    """Four convolutions with batch normalisation and a linear layer, 57,082 weights, for (3, 32, 32)."""

    def __init__(self) -> None:
        stages = ((16, 2), (32, 2), (48, 2), (64, 1))
        super().__init__(*convolutions(3, stages), nn.Flatten(), nn.Linear(64 * 4**2, 10))
