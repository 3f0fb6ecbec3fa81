"""The members: the authors' networks for digits and for CIFAR-10, at any width, with few bits or with all."""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from advplug_defense_empir._quantisers import LowPrecisionConv2d, unit_filters


class Precision(NamedTuple):
    """Bits of the activations and of the weights."""

    activations: int
    weights: int


class Window(NamedTuple):
    """Side, stride and padding of a convolution."""

    kernel: int
    stride: int
    padding: int


def digit_member(width: int, precision: Precision | None) -> nn.Sequential:
    """Three convolutions of ``width``, twice and twice as many filters, and one layer of scores, for (1, 28, 28).

    ``precision`` is that of the convolutions, None for full precision; the last layer always has that. No layer has a
    bias. The authors' ``width`` is 64.
    """
    return _started(
        _convolution(1, width, Window(8, 2, 3), precision),
        nn.ReLU(),
        _convolution(width, 2 * width, Window(6, 2, 0), precision),
        nn.ReLU(),
        _convolution(2 * width, 2 * width, Window(5, 1, 0), precision),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(2 * width, 10, bias=False),
    )


def colour_member(width: int, precision: Precision | None, hidden: int = 64) -> nn.Sequential:
    """Three 5x5 convolutions with pooling and two linear layers without activation, for (3, 32, 32).

    ``precision`` as in :func:`digit_member`. The authors' ``width`` is 32.
    """
    return _started(
        _convolution(3, width, Window(5, 1, 2), precision),
        nn.MaxPool2d(3, 2),
        nn.ReLU(),
        _convolution(width, width, Window(5, 1, 2), precision),
        nn.ReLU(),
        nn.AvgPool2d(3, 2),
        _convolution(width, 2 * width, Window(5, 1, 2), precision),
        nn.ReLU(),
        nn.AvgPool2d(3, 2),
        nn.Flatten(),
        nn.Linear(2 * width * 3**2, hidden, bias=False),
        nn.Linear(hidden, 10, bias=False),
    )


def _convolution(inputs: int, outputs: int, window: Window, precision: Precision | None) -> nn.Conv2d:
    if precision is None:
        return nn.Conv2d(inputs, outputs, *window, bias=False)
    bits, weights = precision
    return LowPrecisionConv2d(inputs, outputs, *window, activation_bits=bits, weight_bits=weights)


def _started(*layers: nn.Module) -> nn.Sequential:
    """The layers in a row, their weights drawn as the authors draw them."""
    member = nn.Sequential(*layers)
    for parameter in member.parameters():
        unit_filters(parameter)
    return member
