"""Defensive distillation: its presets, their networks and their training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import torch

from advplug.data import Images
from advplug.defense import EpochCallback, Preset
from advplug.families import CarliniNet
from advplug.model import DefendedModel
from advplug.threat import ThreatModel
from advplug.training import Configuration, ConfiguredDefense, Tempered, TrainingConfig, cross_entropy, seeded
from advplug_defense_distillation._distillation import distilled
from advplug_defense_distillation._networks import CifarNet, DigitNet

WEIGHTS = Path(__file__).parent / "weights"
TEMPERATURES = {"": 100.0, "-t30": 30.0, "-t10": 10.0, "-t1": 1.0, "-plain": None}
"""What the suffix of a preset says; None for a network without distillation."""


def _digits(summary: str, weights: str | None) -> Preset:
    return Preset(
        summary=summary,
        data="mnist",
        threat=ThreatModel("linf", 0.3),
        weights=None if weights is None else WEIGHTS / weights,
        train_split="train-disjoint",  # has none of the digits that it is judged on
        test_split="shipped",
    )


def _photographs(summary: str, weights: str | None) -> Preset:
    return Preset(
        summary=summary,
        data="cifar10",
        threat=ThreatModel("linf", 8 / 255),
        weights=None if weights is None else WEIGHTS / weights,
    )


def _named(temperature: float | None) -> str:
    return "small network, " + ("undefended" if temperature is None else f"distilled at T = {temperature:g}")


def _short(temperature: float | None) -> TrainingConfig:
    """The training of the small networks: Adam reaches large logits in a few epochs."""
    loss = cross_entropy if temperature is None else Tempered(temperature)
    return TrainingConfig(epochs=8, learning_rate=2e-3, optimiser="adam", loss=loss)


PUBLISHED = TrainingConfig(epochs=50, learning_rate=0.01, drop_at=50, optimiser="nesterov", loss=Tempered(100.0))
"""That of the evaluation by Carlini and Wagner; their rate falls by 2 % over the training, here it stays."""


class Distillation(ConfiguredDefense):
    """Defensive distillation (Papernot et al. 2016): soft labels at a temperature, which is 1 again in use.

    ``mnist`` and ``cifar10`` are small networks at T = 100. ``mnist-t30``, ``mnist-t10`` and ``mnist-t1`` are the same
    at other temperatures; ``mnist-plain`` and ``cifar10-plain`` are trained once, on the labels. ``paper`` and
    ``paper-cifar10`` are the networks and hyper-parameters of Carlini and Wagner (2017), without weights.
    """

    presets: ClassVar[Mapping[str, Preset]] = {
        **{f"mnist{end}": _digits(_named(heat), f"mnist{end}.safetensors") for end, heat in TEMPERATURES.items()},
        "cifar10": _photographs(_named(100.0), "cifar10.safetensors"),
        "cifar10-plain": _photographs(_named(None), "cifar10-plain.safetensors"),
        "paper": _digits("the published network and training for digits", None),
        "paper-cifar10": _photographs("the published network and training for CIFAR-10", None),
    }

    configurations: ClassVar[Mapping[str, Configuration]] = {
        **{f"mnist{end}": Configuration(network=DigitNet, training=_short(heat)) for end, heat in TEMPERATURES.items()},
        "cifar10": Configuration(network=CifarNet, training=_short(100.0)),
        "cifar10-plain": Configuration(network=CifarNet, training=_short(None)),
        "paper": Configuration(network=CarliniNet, training=PUBLISHED),
        "paper-cifar10": Configuration(network=lambda: CarliniNet(3, 64, 256), training=PUBLISHED),
    }

    def train(
        self, preset: str, data: Images, *, seed: int, device: torch.device | str, on_epoch: EpochCallback
    ) -> DefendedModel:
        """Train the student of ``preset``, or its undefended network; see :class:`advplug.Defense`.

        Raises
        ------
        InvalidInput: unknown preset, or too few images.
        """
        first = self.initial(preset, data, seed)
        training = self.configurations[preset].training
        loss = training.loss
        if not isinstance(loss, Tempered):
            return super().train(preset, data, seed=seed, device=device, on_epoch=on_epoch)
        return seeded(seed, lambda: distilled(first, data, training, loss, seed=seed, device=device, on_epoch=on_epoch))
