"""The authors' classifier for digits: that of Carlini and Wagner."""

from __future__ import annotations

from torch import nn

from advplug.families import SequentialModel


class CarliniNet(SequentialModel):
    """Two pairs of 3x3 convolutions without padding, each pair pooled, and two hidden layers with dropout between.

    The authors shift the inputs by -0.5, which the biases of the first layer make up for.

    Parameters
    ----------
    width: channels of the first pair; the second has twice as many.
    hidden: width of both hidden layers.
    """

    def __init__(self, width: int = 32, hidden: int = 200) -> None:
        super().__init__(
            nn.Conv2d(1, width, 3),
            nn.ReLU(),
            nn.Conv2d(width, width, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3),
            nn.ReLU(),
            nn.Conv2d(2 * width, 2 * width, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(2 * width * 4**2, hidden),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, 10),
        )
