"""Logit pairing: its presets, their networks and their training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

from advplug.defense import Preset
from advplug.families import DigitNet
from advplug.model import DefendedModel
from advplug.threat import ThreatModel
from advplug.training import Adversary, Configuration, ConfiguredDefense, TrainingConfig, TrainingLoss, cross_entropy
from advplug_defense_logit_pairing._losses import MixedBatch, Penalised, clean_pairing, squeezing
from advplug_defense_logit_pairing._networks import CifarNet, LeNet

WEIGHTS = Path(__file__).parent / "weights"
MNIST_EPSILON, CIFAR_EPSILON = 76.5 / 255, 16 / 255


NAMES = {
    "": "clean logit pairing (CLP)",
    "-lsq": "logit squeezing (LSQ)",
    "-alp": "adversarial training on half of the batch with adversarial logit pairing (ALP)",
    "-at50": "adversarial training on half of the batch, control",
    "-at100": "adversarial training, control",
}
"""What the suffix of a preset says."""

MNIST_LOSSES: dict[str, TrainingLoss] = {
    "": Penalised(clean_pairing, weight=0.5, noise=0.5),
    "-lsq": Penalised(squeezing, weight=0.5, noise=0.5),
    "-alp": MixedBatch(weight=1.0),
    "-at50": MixedBatch(),
    "-at100": cross_entropy,
}

CIFAR_LOSSES: dict[str, TrainingLoss] = {
    "": Penalised(clean_pairing, weight=0.25, noise=0.06),
    "-lsq": Penalised(squeezing, weight=0.25, noise=0.06),
    "-alp": MixedBatch(weight=0.5),
    "-at50": MixedBatch(),
    "-at100": cross_entropy,
}

ADVERSARIAL = {"-alp", "-at50", "-at100"}


def _presets(base: str) -> dict[str, Preset]:
    """All presets of one data set; those of digits are judged on digits that ship with the data plugin."""
    data = "cifar10" if base == "cifar10" else "mnist"
    epsilon = CIFAR_EPSILON if data == "cifar10" else MNIST_EPSILON
    return {
        f"{base}{suffix}": Preset(
            summary=f"the network of Mosbach et al., {name}" if base == "paper" else f"small network, {name}",
            data=data,
            threat=ThreatModel("linf", epsilon),
            weights=None if base == "paper" else WEIGHTS / f"{base}{suffix}.safetensors",
            train_split="train" if data == "cifar10" else "train-disjoint",
            test_split="test" if data == "cifar10" else "shipped",
        )
        for suffix, name in NAMES.items()
    }


def _configurations(
    base: str,
    network: Callable[[], DefendedModel],
    objectives: Mapping[str, TrainingLoss],
    clean: TrainingConfig,
    adversarial: TrainingConfig,
) -> dict[str, Configuration]:
    """One recipe for the losses on clean images, one for those on adversarial ones."""
    return {
        f"{base}{suffix}": Configuration(
            network=network, training=replace(adversarial if suffix in ADVERSARIAL else clean, loss=objective)
        )
        for suffix, objective in objectives.items()
    }


MNIST = TrainingConfig(epochs=15, learning_rate=2e-3, optimiser="adam")
MNIST_ADVERSARIAL = replace(
    MNIST, epochs=5, ramp=2, adversary=Adversary(epsilon=MNIST_EPSILON, step_size=MNIST_EPSILON / 2, steps=3)
)
CIFAR = TrainingConfig(epochs=4, learning_rate=4e-3, augment=True, optimiser="adam")
# One step, as in fast adversarial training, from a budget that grows over the first epoch.
CIFAR_ADVERSARIAL = replace(
    CIFAR, epochs=4, ramp=1, adversary=Adversary(epsilon=CIFAR_EPSILON, step_size=CIFAR_EPSILON, steps=1)
)
PAPER = TrainingConfig(epochs=500, learning_rate=1e-3, batch_size=200, drop_at=500, optimiser="adam")
PAPER_ADVERSARIAL = replace(PAPER, adversary=Adversary(epsilon=MNIST_EPSILON, step_size=0.01, steps=40))


class LogitPairing(ConfiguredDefense):
    """Logit pairing and squeezing (Kannan, Kurakin and Goodfellow 2018), and adversarial training as their control.

    ``mnist`` and ``cifar10`` are small networks with clean logit pairing; ``-lsq``, ``-alp``, ``-at50`` and ``-at100``
    mark the other losses. ``paper`` is the network for digits of Mosbach et al. 2018 with their hyper-parameters,
    without weights, and has the same suffixes.
    """

    presets: ClassVar[Mapping[str, Preset]] = _presets("mnist") | _presets("cifar10") | _presets("paper")

    configurations: ClassVar[Mapping[str, Configuration]] = (
        _configurations("mnist", partial(DigitNet, 64), MNIST_LOSSES, MNIST, MNIST_ADVERSARIAL)
        | _configurations("cifar10", CifarNet, CIFAR_LOSSES, CIFAR, CIFAR_ADVERSARIAL)
        | _configurations("paper", LeNet, MNIST_LOSSES, PAPER, PAPER_ADVERSARIAL)
    )
