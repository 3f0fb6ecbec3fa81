"""The classifiers besides :class:`advplug.families.DigitNet`: those of the thesis, and one of them made small."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from advplug.families import SequentialModel


class MLP(SequentialModel):
    """Three hidden layers for (1, 28, 28); a width of 72 has 67,762 weights, the thesis has 1000.

    Parameters
    ----------
    width: of each hidden layer.
    gain: of the initial weights: 1 for those of Glorot and Bengio, the root of 2 for about those of He et al.
    """

    def __init__(self, width: int = 72, *, gain: float = 1.0) -> None:
        layers: list[nn.Module] = [nn.Flatten()]
        for inputs, outputs in pairwise((28**2, width, width, width)):
            layers += [_glorot(nn.Linear(inputs, outputs), gain), nn.ReLU()]
        super().__init__(*layers, _glorot(nn.Linear(width, 10), gain))


class LeNet(SequentialModel):
    """The convolutional network of the thesis: two convolutions of 5x5 with pooling, and a hidden layer of 512."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 32, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64 * 4**2, 512),
            nn.ReLU(),
            nn.Linear(512, 10),
        )


def _glorot(layer: nn.Linear, gain: float) -> nn.Linear:
    nn.init.xavier_uniform_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer
