"""The ECOC defense: its presets, their ensembles and their training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from advplug.defense import Preset
from advplug.threat import ThreatModel
from advplug.training import Configuration, ConfiguredDefense, TrainingConfig
from advplug_defense_ecoc._model import EnsembleOfBits
from advplug_defense_ecoc._networks import Bits, Layer, authors_trunk
from advplug_defense_ecoc._training import Hinge

WEIGHTS = Path(__file__).parent / "weights"
DIGITS = Hinge(noise=0.3, blend=0.3)
COLOUR = Hinge(noise=0.032, blend=0.032)
GAIN = 30.0
"""Of the bits of ``cifar10``. Where training fits the images, as it does digits, it drives bits to where tanh is flat.
A small network in a few epochs leaves those of CIFAR-10 at 1, where it is not; the gain stands for one that fits."""


def _small(channels: int, side: int, *widths: int, normalise: bool = False) -> Bits:
    """An ensemble whose strides come first, so that attacks of thousands of steps stay affordable."""
    trunk = [Layer(width, 3 if place else 5, 2) for place, width in enumerate(widths)]
    return Bits(channels, side, trunk=trunk, branch=4, strides=(4, 2, 1), dense=(16,), normalise=normalise)


def _digits() -> Bits:
    return _small(1, 28, 8, 16, 24)


def _colour() -> Bits:
    return _small(3, 32, 8, 24, 32, normalise=True)


MNIST_TRAINED = TrainingConfig(epochs=30, learning_rate=3e-3, batch_size=200, optimiser="adam", loss=DIGITS)
CIFAR_TRAINED = TrainingConfig(
    epochs=8, learning_rate=4e-3, batch_size=200, augment=True, optimiser="adam", loss=COLOUR
)


def _mnist(summary: str, name: str | None) -> Preset:
    """A preset judged on digits that ship with the data plugin, and trained on none of them."""
    return Preset(
        summary=summary,
        data="mnist",
        threat=ThreatModel("linf", 0.3),
        weights=None if name is None else WEIGHTS / f"{name}.safetensors",
        train_split="train-disjoint",
        test_split="shipped",
    )


def _cifar10(summary: str, name: str | None) -> Preset:
    weights = None if name is None else WEIGHTS / f"{name}.safetensors"
    return Preset(summary=summary, data="cifar10", threat=ThreatModel("linf", 8 / 255), weights=weights)


class ECOC(ConfiguredDefense):
    """Ensembles decoded by error-correcting output codes (Verma and Swami, NeurIPS 2019), the variant with tanh.

    ``mnist`` and ``cifar10`` are small ensembles of 4 networks and 16 bits. The bits of ``cifar10`` are multiplied by a
    gain before tanh; ``cifar10-unsaturated`` is the control, the same weights without it. ``paper`` and ``paper-mnist``
    are the authors' ensembles of 16 bits and their hyper-parameters, without weights.
    """

    presets: ClassVar[Mapping[str, Preset]] = {
        "mnist": _mnist("4 small networks, 16 bits", "mnist"),
        "cifar10": _cifar10("4 small networks, 16 saturated bits", "cifar10"),
        "cifar10-unsaturated": _cifar10("the networks of cifar10, their bits as they were trained", "cifar10"),
        "paper": _cifar10("the authors' 4 networks and 16 bits for CIFAR-10", None),
        "paper-mnist": _mnist("the authors' 4 networks and 16 bits for digits", None),
    }

    configurations: ClassVar[Mapping[str, Configuration]] = {
        "mnist": Configuration(network=lambda: EnsembleOfBits(_digits()), training=MNIST_TRAINED),
        "cifar10": Configuration(network=lambda: EnsembleOfBits(_colour(), GAIN), training=CIFAR_TRAINED),
        "cifar10-unsaturated": Configuration(network=lambda: EnsembleOfBits(_colour()), training=CIFAR_TRAINED),
        "paper": Configuration(
            network=lambda: EnsembleOfBits(Bits(3, 32, trunk=authors_trunk(32, 64, 128), branch=16, normalise=True)),
            training=TrainingConfig(
                epochs=400, learning_rate=2e-4, batch_size=200, augment=True, optimiser="adam", drop_at=400, loss=COLOUR
            ),
        ),
        "paper-mnist": Configuration(
            network=lambda: EnsembleOfBits(Bits(1, 28, trunk=authors_trunk(32, 32, 32), branch=4, normalise=False)),
            training=TrainingConfig(
                epochs=150, learning_rate=3e-4, batch_size=200, optimiser="adam", drop_at=150, loss=DIGITS
            ),
        ),
    }
