"""The sparse Fourier defense: its presets, their networks and their training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from torch import nn

from advplug.defense import Preset
from advplug.families import convolutions
from advplug.threat import ThreatModel
from advplug.training import Configuration, ConfiguredDefense, TrainingConfig
from advplug_defense_sparse_fourier._model import Recovered, Unrecovered, on_compressed
from advplug_defense_sparse_fourier._recovery import IterativeHardThresholding, Sparsity

WEIGHTS = Path(__file__).parent / "weights"

MNIST = Sparsity(cosines=40, pixels=20, iterations=10)
CIFAR10 = Sparsity(cosines=120, pixels=20, iterations=10)
PUBLISHED = Sparsity(cosines=40, pixels=20, iterations=100)
"""Of the open re-implementation; those of the authors are not known."""


def _digits(width: int = 8, hidden: int = 64, dropout: Sequence[float] = (0.0, 0.0)) -> nn.Module:
    """Two convolutions and two dense layers; the re-implementation has a ``width`` of 32 and dropout."""
    return nn.Sequential(
        nn.Conv2d(1, width, 3),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(dropout[0]),
        nn.Flatten(),
        nn.Linear(2 * width * 12**2, hidden),
        nn.ReLU(),
        nn.Dropout(dropout[1]),
        nn.Linear(hidden, 10),
    )


def _colour() -> nn.Module:
    """Four convolutions with batch normalisation, the strides first, and one layer of scores."""
    stages = ((24, 2), (48, 2), (64, 1), (64, 2))
    return nn.Sequential(*convolutions(3, stages), nn.Flatten(), nn.Linear(64 * 4**2, 10))


def _mnist(summary: str, weights: Path | None) -> Preset:
    """A preset judged on digits that ship with the data plugin, and trained on none of them."""
    return Preset(
        summary=summary,
        data="mnist",
        threat=ThreatModel("l0"),
        weights=weights,
        train_split="train-disjoint",
        test_split="shipped",
    )


def _cifar10(summary: str) -> Preset:
    return Preset(summary=summary, data="cifar10", threat=ThreatModel("l0"), weights=WEIGHTS / "cifar10.safetensors")


SHORT = TrainingConfig(epochs=4, learning_rate=2e-3, optimiser="adam", loss=on_compressed)
LONGER = TrainingConfig(epochs=14, learning_rate=0.1, augment=True, loss=on_compressed)


class SparseFourier(ConfiguredDefense):
    """The L0-robust sparse Fourier transform (Bafna, Murtagh and Vyas, NeurIPS 2018).

    ``mnist`` and ``cifar10`` are small networks behind the recovery; ``-base`` is the control, the same network without
    it. ``paper`` has the network and the hyper-parameters of the open re-implementation, without weights.
    """

    presets: ClassVar[Mapping[str, Preset]] = {
        "mnist": _mnist("small network, 40 cosines, 20 pixels", WEIGHTS / "mnist.safetensors"),
        "mnist-base": _mnist("control: the network of mnist, no recovery", WEIGHTS / "mnist.safetensors"),
        "cifar10": _cifar10("small network, 120 cosines and 20 pixels of each channel"),
        "cifar10-base": _cifar10("control: the network of cifar10, no recovery"),
        "paper": _mnist("the re-implementation's network, 100 iterations", None),
    }

    configurations: ClassVar[Mapping[str, Configuration]] = {
        "mnist": Configuration(
            network=lambda: Recovered(IterativeHardThresholding(28, MNIST), _digits()), training=SHORT
        ),
        "mnist-base": Configuration(
            network=lambda: Unrecovered(IterativeHardThresholding(28, MNIST), _digits()), training=SHORT
        ),
        "cifar10": Configuration(
            network=lambda: Recovered(IterativeHardThresholding(32, CIFAR10), _colour()), training=LONGER
        ),
        "cifar10-base": Configuration(
            network=lambda: Unrecovered(IterativeHardThresholding(32, CIFAR10), _colour()), training=LONGER
        ),
        "paper": Configuration(
            network=lambda: Recovered(IterativeHardThresholding(28, PUBLISHED), _digits(32, 128, (0.25, 0.5))),
            training=TrainingConfig(epochs=20, learning_rate=1e-3, optimiser="adam", drop_at=20, loss=on_compressed),
        ),
    }
