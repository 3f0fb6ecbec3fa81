"""The MMC defense: its presets, their networks and their training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, cast

import torch

from advplug.data import Images
from advplug.defense import Preset, Report
from advplug.model import DefendedModel
from advplug.threat import ThreatModel
from advplug.training import Recipe, RecipeDefense, fit, seeded
from advplug_defense_mmc._centres import distance_to_own_centre
from advplug_defense_mmc._networks import CentreNet, PaperNet, cifar_net, digit_net

WEIGHTS = Path(__file__).parent / "weights"


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """What makes a preset: the network and its training."""

    network: Callable[[], CentreNet]
    recipe: Recipe


class MMC(RecipeDefense):
    """Max-Mahalanobis centre loss (Pang et al., ICLR 2020).

    ``mnist`` and ``cifar10`` are small networks; ``paper`` is the authors' ResNet with their hyper-parameters for
    CIFAR-10, without weights.
    """

    presets: ClassVar[Mapping[str, Preset]] = {
        "mnist": Preset(
            summary="small network for digits",
            data="mnist",
            threat=ThreatModel("linf", 0.2),
            weights=WEIGHTS / "mnist.safetensors",
            train_split="train-disjoint",  # has none of the digits that it is judged on
            test_split="shipped",
        ),
        "cifar10": Preset(
            summary="small network for CIFAR-10",
            data="cifar10",
            threat=ThreatModel("linf", 8 / 255),
            weights=WEIGHTS / "cifar10.safetensors",
        ),
        "paper": Preset(
            summary="the authors' ResNet and training for CIFAR-10",
            data="cifar10",
            threat=ThreatModel("linf", 8 / 255),
            weights=None,
        ),
    }

    configurations: ClassVar[Mapping[str, Configuration]] = {
        "mnist": Configuration(network=digit_net, recipe=Recipe(epochs=8, rate=0.01, objective=distance_to_own_centre)),
        "cifar10": Configuration(
            network=cifar_net, recipe=Recipe(epochs=12, rate=0.01, augment=True, objective=distance_to_own_centre)
        ),
        "paper": Configuration(
            network=PaperNet,
            recipe=Recipe(
                epochs=200, rate=0.01, batch=50, augment=True, drop_at=(100, 150), objective=distance_to_own_centre
            ),
        ),
    }

    def network(self, preset: str) -> DefendedModel:
        """The untrained network of ``preset``, its weights drawn from torch's global generator."""
        self.preset(preset)
        return self.configurations[preset].network()

    def recipe(self, preset: str) -> Recipe:
        """How ``preset`` is trained."""
        return self.configurations[preset].recipe

    def train(
        self, preset: str, data: Images, *, seed: int, device: torch.device | str, report: Report
    ) -> DefendedModel:
        """Train ``preset`` from scratch; see :class:`advplug.Defense`.

        Raises
        ------
        InvalidInput: unknown preset, or too few images.
        """
        self.preset(preset)
        model = cast(DefendedModel, seeded(seed, lambda: self.network(preset)))
        if isinstance(model, PaperNet):
            model.centre_on(data.inputs)
        fit(model, data, self.recipe(preset), seed=seed, device=device, report=report)
        return model
