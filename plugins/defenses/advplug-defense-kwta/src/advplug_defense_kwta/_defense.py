"""The kWTA defense: its presets, their networks and their training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from advplug.defense import Preset
from advplug.threat import ThreatModel
from advplug.training import Adversary, Configuration, ConfiguredDefense, TrainingConfig
from advplug_defense_kwta._networks import ResNet18, SmallNet

WEIGHTS = Path(__file__).parent / "weights"
MNIST_EPSILON = 0.2
CIFAR_EPSILON = 8 / 255


def _digits(gamma: float | None) -> SmallNet:
    return SmallNet((1, 28), gamma, channels=(16, 32, 32), strides=(2, 2, 1), hidden=256)


def _colour(gamma: float | None) -> SmallNet:
    return SmallNet((3, 32), gamma, channels=(24, 48, 64), strides=(2, 2, 2), hidden=256)


def _mnist(summary: str, name: str) -> Preset:
    """A preset judged on digits that ship with the data plugin, and trained on none of them."""
    return Preset(
        summary=summary,
        data="mnist",
        threat=ThreatModel("linf", MNIST_EPSILON),
        weights=WEIGHTS / f"{name}.safetensors",
        train_split="train-disjoint",
        test_split="shipped",
    )


def _cifar10(summary: str, name: str | None) -> Preset:
    weights = None if name is None else WEIGHTS / f"{name}.safetensors"
    return Preset(summary=summary, data="cifar10", threat=ThreatModel("linf", CIFAR_EPSILON), weights=weights)


class KWTA(ConfiguredDefense):
    """k-Winners-Take-All networks (Xiao, Zhong and Zheng, ICLR 2020).

    ``mnist`` and ``cifar10`` are small networks under standard training, ``-at`` marks adversarial training, ``-relu``
    the undefended control: the same network and training with ReLU. ``paper`` and ``paper-at`` are the ResNet-18 and
    the hyper-parameters of the paper, without weights.
    """

    presets: ClassVar[Mapping[str, Preset]] = {
        "mnist": _mnist("small network, standard training", "mnist"),
        "mnist-at": _mnist("small network, adversarial training", "mnist-at"),
        "mnist-relu": _mnist("undefended control of mnist: ReLU instead of kWTA", "mnist-relu"),
        "cifar10": _cifar10("small network, standard training", "cifar10"),
        "cifar10-at": _cifar10("small network, adversarial training", "cifar10-at"),
        "cifar10-relu": _cifar10("undefended control of cifar10: ReLU instead of kWTA", "cifar10-relu"),
        "paper": _cifar10("ResNet-18 of the paper, standard training", None),
        "paper-at": _cifar10("ResNet-18 of the paper, adversarial training", None),
    }

    configurations: ClassVar[Mapping[str, Configuration]] = {
        "mnist": Configuration(network=lambda: _digits(0.025), training=TrainingConfig(epochs=10, learning_rate=0.05)),
        "mnist-relu": Configuration(
            network=lambda: _digits(None), training=TrainingConfig(epochs=10, learning_rate=0.05)
        ),
        "mnist-at": Configuration(
            network=lambda: _digits(0.05),
            training=TrainingConfig(
                epochs=10,
                learning_rate=0.05,
                adversary=Adversary(epsilon=MNIST_EPSILON, step_size=1.25 * MNIST_EPSILON, steps=1),
            ),
        ),
        "cifar10": Configuration(
            network=lambda: _colour(0.05), training=TrainingConfig(epochs=12, learning_rate=0.1, augment=True)
        ),
        "cifar10-relu": Configuration(
            network=lambda: _colour(None), training=TrainingConfig(epochs=12, learning_rate=0.1, augment=True)
        ),
        "cifar10-at": Configuration(
            network=lambda: _colour(0.1),
            training=TrainingConfig(
                epochs=12,
                learning_rate=0.1,
                augment=True,
                adversary=Adversary(epsilon=CIFAR_EPSILON, step_size=1.25 * CIFAR_EPSILON, steps=1),
            ),
        ),
        "paper": Configuration(
            network=lambda: ResNet18(0.1),
            training=TrainingConfig(epochs=80, learning_rate=0.1, batch_size=256, augment=True, drop_at=50),
        ),
        "paper-at": Configuration(
            network=lambda: ResNet18(0.1),
            training=TrainingConfig(
                epochs=80,
                learning_rate=0.1,
                batch_size=256,
                augment=True,
                drop_at=50,
                adversary=Adversary(epsilon=0.031, step_size=0.007, steps=10, clip=False),
            ),
        ),
    }
