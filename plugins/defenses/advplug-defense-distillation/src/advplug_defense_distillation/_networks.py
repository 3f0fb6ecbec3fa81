"""The classifiers: two small ones that a CPU attacks in seconds, and those of the published evaluation."""

from __future__ import annotations

from torch import Tensor, nn

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


class PaperNet(SequentialModel):
    """Four convolutions, two hidden layers with dropout between them (Carlini and Wagner 2017, table 1).

    Parameters
    ----------
    channels: 1 for (1, 28, 28), 3 for (3, 32, 32).
    width: of the first two convolutions; the other two have twice as many channels.
    hidden: width of the hidden layers.
    """

    def __init__(self, channels: int, width: int, hidden: int) -> None:
        after = 4 if channels == 1 else 5  # pixels to a side that two unpadded pairs of convolutions leave
        super().__init__(
            *_pair(channels, width),
            *_pair(width, 2 * width),
            nn.Flatten(),
            nn.Linear(2 * width * after**2, hidden),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, 10),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, 10) for images (N, C, H, W) in [0, 1], which the layers see in [-0.5, 0.5]."""
        return super().forward(x - 0.5)


def _pair(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(inputs, outputs, 3),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
    )
