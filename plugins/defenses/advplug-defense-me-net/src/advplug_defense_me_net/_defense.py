"""The presets of ME-Net, their networks and their training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import torch
from advplug_defense_kwta import ResNet18
from torch import nn

from advplug.data import Images
from advplug.defense import EpochCallback, Preset
from advplug.families import SequentialModel, convolutions
from advplug.model import DefendedModel
from advplug.threat import ThreatModel
from advplug.training import Configuration, ConfiguredDefense, TrainingConfig, fit
from advplug_defense_me_net._estimation import USVT, Estimator, NuclearNorm
from advplug_defense_me_net._model import Bare, Masked
from advplug_defense_me_net._training import UnderMasks

WEIGHTS = Path(__file__).parent / "weights"

JUDGED = 2000
"""The first digits, which no network is trained on, because training and evaluation share their split."""


def _digit_network() -> nn.Module:
    return SequentialModel(*convolutions(1, ((16, 2), (32, 2), (32, 1))), nn.Flatten(), nn.Linear(32 * 7**2, 10))


def _colour_network() -> nn.Module:
    stages = ((32, 2), (48, 2), (64, 1), (96, 2))
    return SequentialModel(*convolutions(3, stages), nn.Flatten(), nn.Linear(96 * 4**2, 10))


def _masks(estimator: Estimator) -> UnderMasks:
    return UnderMasks(estimator=estimator, least=0.4, most=0.6)


def _mnist(summary: str) -> Preset:
    """A preset trained and judged on the digits that ship with the data plugin."""
    return Preset(
        summary=summary,
        data="mnist",
        threat=ThreatModel("linf", 0.2),
        weights=WEIGHTS / "mnist.safetensors",
        train_split="shipped",
        test_split="shipped",
    )


def _cifar10(summary: str, weights: Path | None) -> Preset:
    return Preset(summary=summary, data="cifar10", threat=ThreatModel("linf", 8 / 255), weights=weights)


def _paper(estimator: Estimator) -> Configuration:
    return Configuration(
        network=lambda: Masked(ResNet18(None), estimator),
        training=TrainingConfig(
            epochs=200,
            learning_rate=0.1,
            batch_size=256,
            augment=True,
            drop_at=(100, 150),
            weight_decay=1e-4,
            loss=_masks(estimator),
        ),
    )


MNIST_TRAINED = TrainingConfig(epochs=10, learning_rate=0.05, loss=_masks(USVT()))
CIFAR_TRAINED = TrainingConfig(epochs=15, learning_rate=0.1, augment=True, loss=_masks(USVT()))


class MENet(ConfiguredDefense):
    """ME-Net (Yang, Zhang, Katabi and Xu, ICML 2019) with universal singular value thresholding.

    ``mnist`` and ``cifar10`` are small networks trained under masks that keep 40 to 60 % of the values; at test time
    half of them are kept. ``-base`` is the control, the same network without masks. ``paper`` and ``paper-nuclear``
    have the authors' network and hyper-parameters, the latter with nuclear norm minimisation, both without weights.
    """

    presets: ClassVar[Mapping[str, Preset]] = {
        "mnist": _mnist("small network, half of the pixels"),
        "mnist-base": _mnist("the network of mnist, all pixels"),
        "cifar10": _cifar10("small network, half of the values", WEIGHTS / "cifar10.safetensors"),
        "cifar10-base": _cifar10("the network of cifar10, all values", WEIGHTS / "cifar10.safetensors"),
        "paper": _cifar10("ResNet-18, singular value thresholding", None),
        "paper-nuclear": _cifar10("ResNet-18, nuclear norm minimisation", None),
    }

    configurations: ClassVar[Mapping[str, Configuration]] = {
        "mnist": Configuration(network=lambda: Masked(_digit_network(), USVT()), training=MNIST_TRAINED),
        "mnist-base": Configuration(network=lambda: Bare(_digit_network()), training=MNIST_TRAINED),
        "cifar10": Configuration(network=lambda: Masked(_colour_network(), USVT()), training=CIFAR_TRAINED),
        "cifar10-base": Configuration(network=lambda: Bare(_colour_network()), training=CIFAR_TRAINED),
        "paper": _paper(USVT()),
        "paper-nuclear": _paper(NuclearNorm()),
    }

    def train(
        self, preset: str, data: Images, *, seed: int, device: torch.device | str, on_epoch: EpochCallback
    ) -> DefendedModel:
        """Train the network under the defense, which sees masked images alone; see :class:`advplug.Defense`.

        Raises
        ------
        InvalidInput: unknown preset, or too few images.
        """
        known = self.preset(preset)
        if known.train_split == known.test_split and len(data) > 2 * JUDGED:
            data = data[JUDGED:]
        model = self.initial(preset, data, seed)
        assert isinstance(model, Masked | Bare)
        fit(model.base, data, self.configurations[preset].training, seed=seed, device=device, on_epoch=on_epoch)
        return model.to(device).eval()
