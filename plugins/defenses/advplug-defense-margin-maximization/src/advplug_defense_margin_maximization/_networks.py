"""The classifiers besides :class:`advplug.families.DigitNet`: those of the thesis, and one of them made small."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from advplug.families import SequentialModel


class MLP(SequentialModel):
    """Hidden layers of one width for (1, 28, 28); three of 72 have 67,762 weights, the thesis has three of 1000.

    Parameters
    ----------
    width: of each hidden layer.
    hidden: number of hidden layers.
    gain: of the initial weights: 1 for those of Glorot and Bengio, the root of 2 for about those of He et al.
    """

    def __init__(self, width: int = 72, hidden: int = 3, *, gain: float = 1.0) -> None:
        layers: list[nn.Module] = [nn.Flatten()]
        for inputs, outputs in pairwise((28**2, *[width] * hidden)):
            layers += [_glorot(nn.Linear(inputs, outputs), gain), nn.ReLU()]
        super().__init__(*layers, _glorot(nn.Linear(width, 10), gain))


class LeNet(SequentialModel):
    """The convolutional network of the thesis: two convolutions of 5x5 with pooling, and a hidden layer of 512.

    Parameters
    ----------
    width: filters of the first convolution; the others follow, so that 16 gives half of everything.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__(
            nn.Conv2d(1, width, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(2 * width * 4**2, 16 * width),
            nn.ReLU(),
            nn.Linear(16 * width, 10),
        )


def _glorot(layer: nn.Linear, gain: float) -> nn.Linear:
    nn.init.xavier_uniform_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer
