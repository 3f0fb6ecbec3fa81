"""The MMC defense: its presets, their networks and their training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from advplug.data import Images
from advplug.defense import Preset
from advplug.model import DefendedModel
from advplug.threat import ThreatModel
from advplug.training import Configuration, ConfiguredDefense, TrainingConfig
from advplug_defense_mmc._centres import distance_to_own_centre
from advplug_defense_mmc._networks import PaperNet, cifar_net, digit_net

WEIGHTS = Path(__file__).parent / "weights"


class MMC(ConfiguredDefense):
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
        "mnist": Configuration(
            network=digit_net, training=TrainingConfig(epochs=8, learning_rate=0.01, loss=distance_to_own_centre)
        ),
        "cifar10": Configuration(
            network=cifar_net,
            training=TrainingConfig(epochs=12, learning_rate=0.01, augment=True, loss=distance_to_own_centre),
        ),
        "paper": Configuration(
            network=PaperNet,
            training=TrainingConfig(
                epochs=200,
                learning_rate=0.01,
                batch_size=50,
                augment=True,
                drop_at=(100, 150),
                loss=distance_to_own_centre,
            ),
        ),
    }

    def initial(self, preset: str, data: Images, seed: int) -> DefendedModel:
        """The untrained network; the authors' subtracts the mean of the images that it is trained on."""
        model = super().initial(preset, data, seed)
        if isinstance(model, PaperNet):
            model.centre_on(data.inputs)
        return model
