"""Adversarial training: its presets, their networks and their training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from advplug.defense import Preset
from advplug.families import DigitNet
from advplug.threat import ThreatModel
from advplug.training import (
    TRADES,
    VAT,
    Adversary,
    AnyOf,
    Configuration,
    ConfiguredDefense,
    Mixed,
    Norm,
    TrainingConfig,
)
from advplug_defense_adversarial_training._ensemble import FromPresets
from advplug_defense_adversarial_training._networks import CifarNet, MadryNet, PoolingNet

WEIGHTS = Path(__file__).parent / "weights"


def _mnist(summary: str, threat: ThreatModel, name: str | None) -> Preset:
    """A preset judged on digits that ship with the data plugin, and trained on none of them."""
    return Preset(
        summary=summary,
        data="mnist",
        threat=threat,
        weights=None if name is None else WEIGHTS / f"{name}.safetensors",
        train_split="train-disjoint",
        test_split="shipped",
    )


def _cifar10(summary: str, threat: ThreatModel, name: str) -> Preset:
    return Preset(summary=summary, data="cifar10", threat=threat, weights=WEIGHTS / f"{name}.safetensors")


def _one_step(norm: Norm, epsilon: float) -> Adversary:
    """The step of Wong et al. 2020: a quarter longer than the budget."""
    return Adversary(norm=norm, epsilon=epsilon, step_size=1.25 * epsilon, steps=1)


def _digits(**training: Any) -> Configuration:
    """The small network for digits, at the rate and length of its plain training."""
    return Configuration(network=DigitNet, training=TrainingConfig(epochs=10, learning_rate=0.05, **training))


FGSM = Adversary(epsilon=0.2, step_size=0.2, steps=1, start="input")
"""The fast gradient sign method (Goodfellow et al. 2015) at the budget of the digits that are trained against it."""


class AdversarialTraining(ConfiguredDefense):
    """Adversarial training (Madry et al., ICLR 2018), its relatives, and their undefended control.

    ``mnist`` and ``cifar10`` are trained on clean images; ``-linf`` and ``-l2`` mark the same network trained on
    adversarial images of its own threat model alone, made anew in every step. The other presets for digits train the
    same network in another way: on half FGSM (``-fgsm``; ``-fgsm-answers`` does not tell the label), on FGSM of several
    networks (``-ensemble``), by TRADES, by VAT, and against two norms (``-joint``). ``mnist-pooling`` is another
    network with plain training. ``paper-mnist`` is the authors' network and training for digits, without weights.
    """

    presets: ClassVar[Mapping[str, Preset]] = {
        "mnist": _mnist("small network, plain training", ThreatModel("linf", 0.1), "mnist"),
        "mnist-linf": _mnist("small network, adversarial training under Linf", ThreatModel("linf", 0.3), "mnist-linf"),
        "mnist-l2": _mnist("small network, adversarial training under L2", ThreatModel("l2", 2.0), "mnist-l2"),
        "mnist-fgsm": _mnist("half clean images, half FGSM", ThreatModel("linf", 0.2), "mnist-fgsm"),
        "mnist-fgsm-answers": _mnist(
            "half FGSM against the network's own answers", ThreatModel("linf", 0.2), "mnist-fgsm-answers"
        ),
        "mnist-ensemble": _mnist("half FGSM of several networks", ThreatModel("linf", 0.2), "mnist-ensemble"),
        "mnist-trades": _mnist("TRADES under Linf", ThreatModel("linf", 0.3), "mnist-trades"),
        "mnist-vat": _mnist("virtual adversarial training", ThreatModel("l2", 2.0), "mnist-vat"),
        "mnist-joint": _mnist("adversarial training under Linf 0.2 or L2 2", ThreatModel("l2", 2.0), "mnist-joint"),
        "mnist-pooling": _mnist("another small network, plain training", ThreatModel("linf", 0.1), "mnist-pooling"),
        "cifar10": _cifar10("small network, plain training", ThreatModel("linf", 2 / 255), "cifar10"),
        "cifar10-linf": _cifar10(
            "small network, adversarial training under Linf", ThreatModel("linf", 8 / 255), "cifar10-linf"
        ),
        "cifar10-l2": _cifar10("small network, adversarial training under L2", ThreatModel("l2", 0.5), "cifar10-l2"),
        "paper-mnist": _mnist("the authors' network and training for digits", ThreatModel("linf", 0.3), None),
    }

    configurations: ClassVar[Mapping[str, Configuration]] = {
        "mnist": _digits(),
        "mnist-linf": Configuration(
            network=DigitNet,
            # One step is not enough here: PGD then finds what the single step never visits.
            training=TrainingConfig(
                epochs=12,
                learning_rate=2e-3,
                ramp=4,
                optimiser="adam",
                adversary=Adversary(epsilon=0.3, step_size=0.1, steps=5),
            ),
        ),
        "mnist-l2": _digits(adversary=_one_step("l2", 2.0)),
        "mnist-fgsm": _digits(adversary=FGSM, loss=Mixed()),
        "mnist-fgsm-answers": _digits(adversary=replace(FGSM, against="answers"), loss=Mixed()),
        "mnist-ensemble": _digits(adversary=FromPresets(FGSM, ("mnist", "mnist-pooling")), loss=Mixed()),
        "mnist-trades": Configuration(
            network=DigitNet,
            training=TrainingConfig(
                epochs=12,
                learning_rate=2e-3,
                ramp=4,
                optimiser="adam",
                adversary=Adversary(epsilon=0.3, step_size=0.1, steps=5, start="near", against="probabilities"),
                loss=TRADES(),
            ),
        ),
        "mnist-vat": _digits(loss=VAT(epsilon=2.0)),
        "mnist-joint": _digits(adversary=AnyOf((_one_step("l2", 2.0), _one_step("linf", 0.2)))),
        "mnist-pooling": Configuration(network=PoolingNet, training=TrainingConfig(epochs=5, learning_rate=0.05)),
        "cifar10": Configuration(network=CifarNet, training=TrainingConfig(epochs=10, learning_rate=0.1, augment=True)),
        "cifar10-linf": Configuration(
            network=CifarNet,
            training=TrainingConfig(epochs=10, learning_rate=0.1, augment=True, adversary=_one_step("linf", 8 / 255)),
        ),
        "cifar10-l2": Configuration(
            network=CifarNet,
            training=TrainingConfig(epochs=10, learning_rate=0.1, augment=True, adversary=_one_step("l2", 0.5)),
        ),
        # Constant rate; 84 epochs of batches of 50 are the authors' 100,000 updates.
        "paper-mnist": Configuration(
            network=MadryNet,
            training=TrainingConfig(
                epochs=84,
                learning_rate=1e-4,
                batch_size=50,
                optimiser="adam",
                drop_at=84,
                adversary=Adversary(epsilon=0.3, step_size=0.01, steps=40),
            ),
        ),
    }
