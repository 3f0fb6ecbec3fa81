"""The kWTA defense: its presets, their networks and their training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from advplug.defense import Preset
from advplug.model import DefendedModel
from advplug.threat import ThreatModel
from advplug.training import Adversary, Recipe, RecipeDefense
from advplug_defense_kwta._networks import ResNet18, SmallNet

WEIGHTS = Path(__file__).parent / "weights"
MNIST_EPSILON = 0.2
CIFAR_EPSILON = 8 / 255


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """What makes a preset: the network (``small`` takes ``gamma`` for all layers, None for ReLU) and its training."""

    gamma: float | None
    recipe: Recipe
    residual: bool = False


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


class KWTA(RecipeDefense):
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
        "mnist": Configuration(gamma=0.025, recipe=Recipe(epochs=10, rate=0.05)),
        "mnist-relu": Configuration(gamma=None, recipe=Recipe(epochs=10, rate=0.05)),
        "mnist-at": Configuration(
            gamma=0.05,
            recipe=Recipe(
                epochs=10, rate=0.05, adversary=Adversary(epsilon=MNIST_EPSILON, step=1.25 * MNIST_EPSILON, steps=1)
            ),
        ),
        "cifar10": Configuration(gamma=0.05, recipe=Recipe(epochs=12, rate=0.1, augment=True)),
        "cifar10-relu": Configuration(gamma=None, recipe=Recipe(epochs=12, rate=0.1, augment=True)),
        "cifar10-at": Configuration(
            gamma=0.1,
            recipe=Recipe(
                epochs=12,
                rate=0.1,
                augment=True,
                adversary=Adversary(epsilon=CIFAR_EPSILON, step=1.25 * CIFAR_EPSILON, steps=1),
            ),
        ),
        "paper": Configuration(
            gamma=0.1, residual=True, recipe=Recipe(epochs=80, rate=0.1, batch=256, augment=True, drop_at=50)
        ),
        "paper-at": Configuration(
            gamma=0.1,
            residual=True,
            recipe=Recipe(
                epochs=80,
                rate=0.1,
                batch=256,
                augment=True,
                drop_at=50,
                adversary=Adversary(epsilon=0.031, step=0.007, steps=10, clip=False),
            ),
        ),
    }

    def network(self, preset: str) -> DefendedModel:
        """The untrained network of ``preset``, its weights drawn from torch's global generator."""
        chosen, configuration = self.preset(preset), self.configurations[preset]
        if configuration.residual:
            return ResNet18(configuration.gamma)
        if chosen.data == "mnist":
            return SmallNet((1, 28), configuration.gamma, channels=(16, 32, 32), strides=(2, 2, 1), hidden=256)
        return SmallNet((3, 32), configuration.gamma, channels=(24, 48, 64), strides=(2, 2, 2), hidden=256)

    def recipe(self, preset: str) -> Recipe:
        """How ``preset`` is trained."""
        return self.configurations[preset].recipe
