"""The ADP defense: its presets, their networks and their training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import torch

from advplug.data import Images
from advplug.defense import EpochCallback, Preset
from advplug.model import DefendedModel
from advplug.threat import ThreatModel
from advplug.training import Configuration, ConfiguredDefense, TrainingConfig
from advplug_defense_adp._ensemble import MeanProbability
from advplug_defense_adp._networks import residual_network
from advplug_defense_adp._training import DiversityPromoting

WEIGHTS = Path(__file__).parent / "weights"
MEMBERS = 3
JUDGED = 1000
"""So many of the digits that ship are never trained on: the defense is judged on the first of them."""

DIGITS, COLOUR = (1, 28, 28), (3, 32, 32)


def _ensemble(shape: tuple[int, int, int], width: int, blocks: int, stride: int) -> MeanProbability:
    return MeanProbability([residual_network(shape[0], width, blocks, stride) for _ in range(MEMBERS)], shape)


def _short(epochs: int, loss: DiversityPromoting, *, augment: bool) -> TrainingConfig:
    """A rate that rises and falls, because there are few epochs."""
    return TrainingConfig(epochs=epochs, learning_rate=4e-3, optimiser="adam", augment=augment, loss=loss)


def _authors(epochs: int, drops: tuple[int, int]) -> TrainingConfig:
    """The authors' schedule; they add 1e-4 times the squared weights to the loss, whose derivative has a factor 2."""
    return TrainingConfig(
        epochs=epochs,
        learning_rate=1e-3,
        batch_size=64,
        optimiser="adam",
        drop_at=drops,
        augment=True,
        weight_decay=2e-4,
        loss=DiversityPromoting(),
    )


def _mnist(summary: str, weights: str | None, epsilon: float = 0.1) -> Preset:
    """A preset judged on digits that ship with the data plugin."""
    return Preset(
        summary=summary,
        data="mnist",
        threat=ThreatModel("linf", epsilon),
        weights=None if weights is None else WEIGHTS / f"{weights}.safetensors",
        train_split="shipped",
        test_split="shipped",
    )


def _cifar10(summary: str, weights: str | None, epsilon: float = 0.02) -> Preset:
    return Preset(
        summary=summary,
        data="cifar10",
        threat=ThreatModel("linf", epsilon),
        weights=None if weights is None else WEIGHTS / f"{weights}.safetensors",
    )


class ADP(ConfiguredDefense):
    """Ensembles trained by adaptive diversity promoting (Pang, Xu, Du, Chen and Zhu, ICML 2019).

    ``mnist`` and ``cifar10`` are three small residual networks each. The suffix ``-plain`` names the control: the same
    networks, trained together without any reward for diversity. ``paper`` has the authors' networks and
    hyper-parameters, without weights.
    """

    presets: ClassVar[Mapping[str, Preset]] = {
        "mnist": _mnist("three small residual networks, trained to differ", "mnist"),
        "mnist-plain": _mnist("the same networks, trained by the cross-entropy alone", "mnist-plain"),
        "cifar10": _cifar10("three small residual networks, trained to differ", "cifar10"),
        "cifar10-plain": _cifar10("the same networks, trained by the cross-entropy alone", "cifar10-plain"),
        "paper": _cifar10("the authors' three ResNet-20 for CIFAR-10", None, 0.01),
    }

    configurations: ClassVar[Mapping[str, Configuration]] = {
        "mnist": Configuration(
            network=lambda: _ensemble(DIGITS, 8, 1, 1), training=_short(20, DiversityPromoting(), augment=False)
        ),
        "mnist-plain": Configuration(
            network=lambda: _ensemble(DIGITS, 8, 1, 1), training=_short(20, DiversityPromoting(0, 0), augment=False)
        ),
        "cifar10": Configuration(
            network=lambda: _ensemble(COLOUR, 16, 1, 2), training=_short(40, DiversityPromoting(), augment=True)
        ),
        "cifar10-plain": Configuration(
            network=lambda: _ensemble(COLOUR, 16, 1, 2), training=_short(40, DiversityPromoting(0, 0), augment=True)
        ),
        "paper": Configuration(network=lambda: _ensemble(COLOUR, 16, 3, 1), training=_authors(200, (100, 150))),
    }

    def initial(self, preset: str, data: Images, seed: int) -> DefendedModel:
        """The untrained ensemble, which subtracts the mean of ``data``."""
        model = super().initial(preset, data, seed)
        with torch.no_grad():
            model.get_buffer("mean").copy_(data.inputs.mean(0))
        return model

    def train(
        self, preset: str, data: Images, *, seed: int, device: torch.device | str, on_epoch: EpochCallback
    ) -> DefendedModel:
        """Train ``preset`` from scratch, on digits without the first JUDGED; see :class:`advplug.Defense`."""
        return super().train(preset, self.for_training(preset, data), seed=seed, device=device, on_epoch=on_epoch)

    def for_training(self, preset: str, data: Images) -> Images:
        """Those of ``data`` that ``preset`` may see."""
        chosen = self.preset(preset)
        return data[JUDGED:] if chosen.train_split == chosen.test_split and len(data) > 2 * JUDGED else data
