"""Parts that the small networks of defenses have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import cast

from torch import Tensor, nn

from advplug.model import DefendedModel


class SequentialModel(DefendedModel):
    """A plain classifier: logits from a sequence of layers, which its weights name ``layers.0``, ``layers.1``, ...

    Parameters
    ----------
    layers: from images (N, ...) to logits (N, K).
    num_classes: number of classes K.
    bounds: range of valid input values.
    """

    def __init__(self, *layers: nn.Module, num_classes: int = 10, bounds: tuple[float, float] = (0.0, 1.0)) -> None:
        super().__init__(num_classes, bounds)
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, K) for images (N, ...) in ``bounds``."""
        return cast(Tensor, self.layers(x))


class DigitNet(SequentialModel):
    """Two strided convolutions and a hidden layer for images (1, 28, 28), after Wong et al. 2020 (2001.03994).

    Parameters
    ----------
    hidden: width of the hidden layer; with 100, as in the paper, it has 166,406 weights.
    """

    def __init__(self, hidden: int = 100) -> None:
        super().__init__(
            nn.Conv2d(1, 16, 4, 2, 1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 4, 2, 1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * 7**2, hidden),
            nn.ReLU(),
            nn.Linear(hidden, 10),
        )


class CarliniNet(SequentialModel):
    """The network of Carlini and Wagner 2017 (table 1): four convolutions, two hidden layers with dropout between them.

    Parameters
    ----------
    channels: 1 for images (1, 28, 28), 3 for (3, 32, 32).
    width: of the first two convolutions, 32 and 64 in the paper; the other two have twice as many channels.
    hidden: width of the hidden layers, 200 and 256 in the paper.
    """

    def __init__(self, channels: int = 1, width: int = 32, hidden: int = 200) -> None:
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
    return (nn.Conv2d(inputs, outputs, 3), nn.ReLU(), nn.Conv2d(outputs, outputs, 3), nn.ReLU(), nn.MaxPool2d(2))


def convolutions(channels: int, stages: Iterable[tuple[int, int]]) -> Iterator[nn.Module]:
    """3x3 convolutions, each with batch normalisation and ReLU.

    Parameters
    ----------
    channels: of the images.
    stages: channels that come out of each convolution, and its stride.
    """
    for outputs, stride in stages:
        yield from (nn.Conv2d(channels, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())
        channels = outputs
