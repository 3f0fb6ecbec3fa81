"""The adversary critic: its presets, their networks and their training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import torch
from advplug_defense_margin_maximization import MLP, LeNet

from advplug.data import Images
from advplug.defense import EpochCallback, Preset
from advplug.model import DefendedModel
from advplug.threat import ThreatModel
from advplug.training import Configuration, ConfiguredDefense, LearnedLoss, TrainingConfig, cross_entropy, fit, seeded
from advplug_defense_adversary_critic._critic import Critic
from advplug_defense_adversary_critic._objective import AdversaryCritic

WEIGHTS = Path(__file__).parent / "weights"
DIGIT, CLASSES, HE = 28**2, 10, 2**0.5


def _mnist(summary: str, name: str | None = None, split: str = "train-disjoint") -> Preset:
    """A preset judged on digits that ship with the data plugin, and trained on none of them."""
    return Preset(
        summary=summary,
        data="mnist",
        threat=ThreatModel("l2", 1.5),
        weights=None if name is None else WEIGHTS / f"{name}.safetensors",
        train_split=split,
        test_split="shipped",
    )


def _game(width: int, weight: float) -> AdversaryCritic:
    return AdversaryCritic(critic=partial(Critic, DIGIT, CLASSES, width), classes=CLASSES, weight=weight)


PAPER = TrainingConfig(
    epochs=100, learning_rate=5e-4, batch_size=100, optimiser="adam", momentum=0.5, drop_at=(40, 80), drop_by=2
)
SMALL = replace(PAPER, epochs=4, learning_rate=1e-3, drop_at=(2, 3))
FEW = replace(SMALL, epochs=10, drop_at=(5, 8))


class AdversaryCriticDefense(ConfiguredDefense):
    """Training against an adversary critic (Matyasko and Chau, NeurIPS 2018), and the same network without it.

    Training begins with an epoch of cross-entropy alone. ``mnist`` is a small network of three hidden layers,
    ``mnist-plain`` its control; ``mnist-wide`` and ``mnist-wide-plain`` have two wider layers and fewer digits.
    ``paper`` and ``paper-lenet`` are the authors' networks and training, without weights.
    """

    presets: ClassVar[Mapping[str, Preset]] = {
        "mnist": _mnist("three small hidden layers, trained against a critic", "mnist"),
        "mnist-plain": _mnist("the same network, cross-entropy alone, control", "mnist-plain"),
        "mnist-wide": _mnist("two layers of 200, trained against a critic, 10,000 digits", "mnist-wide", "train-few"),
        "mnist-wide-plain": _mnist(
            "the same network, cross-entropy alone, 10,000 digits, control", "mnist-wide-plain", "train-few"
        ),
        "paper": _mnist("three hidden layers of 1200, trained against a critic"),
        "paper-lenet": _mnist("the LeNet of the authors, trained against a critic"),
    }

    configurations: ClassVar[Mapping[str, Configuration]] = {
        "mnist": Configuration(network=partial(MLP, gain=HE), training=replace(SMALL, loss=_game(256, 0.5))),
        "mnist-plain": Configuration(network=partial(MLP, gain=HE), training=SMALL),
        "mnist-wide": Configuration(
            network=partial(MLP, 200, 2, gain=HE), training=replace(FEW, loss=_game(256, 0.25))
        ),
        "mnist-wide-plain": Configuration(network=partial(MLP, 200, 2, gain=HE), training=FEW),
        "paper": Configuration(network=partial(MLP, 1200, gain=HE), training=replace(PAPER, loss=_game(1200, 0.5))),
        "paper-lenet": Configuration(network=LeNet, training=replace(PAPER, loss=_game(1200, 0.1))),
    }

    def train(
        self, preset: str, data: Images, *, seed: int, device: torch.device | str, on_epoch: EpochCallback
    ) -> DefendedModel:
        """Train ``preset`` from scratch; see :class:`advplug.Defense`."""

        def trained() -> DefendedModel:
            model, training = self.network(preset), self.configurations[preset].training
            if isinstance(training.loss, LearnedLoss):  # the attack aims for the confidence of a trained network
                fit(model, data, first_epoch(training), seed=seed, device=device)
            fit(model, data, training, seed=seed, device=device, on_epoch=on_epoch)
            return model

        return seeded(seed, trained)  # the noise of the critic, too


def first_epoch(training: TrainingConfig) -> TrainingConfig:
    """Before ``training``: an epoch of cross-entropy alone, at the full rate."""
    return replace(training, epochs=1, drop_at=1, loss=cross_entropy, weight_decay=5e-6)
