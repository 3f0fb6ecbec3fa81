"""The EMPIR defense: its presets, their networks and their training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from torch import nn

from advplug.defense import Preset
from advplug.threat import ThreatModel
from advplug.training import Configuration, ConfiguredDefense, TrainingConfig
from advplug_defense_empir._ensemble import FullPrecision, MixedPrecision
from advplug_defense_empir._networks import Precision, colour_member, digit_member
from advplug_defense_empir._training import each_member_alone

WEIGHTS = Path(__file__).parent / "weights"
DIGIT_PRECISIONS = (Precision(4, 2), Precision(4, 2), None)
COLOUR_PRECISIONS = (Precision(2, 4), Precision(2, 2), None)


def _digits(width: int) -> list[nn.Module]:
    return [digit_member(width, precision) for precision in DIGIT_PRECISIONS]


def _colour(width: int) -> list[nn.Module]:
    return [colour_member(width, precision) for precision in COLOUR_PRECISIONS]


def _short(epochs: int) -> TrainingConfig:
    """A rate that rises and falls, because there are few epochs."""
    return TrainingConfig(epochs=epochs, learning_rate=2e-3, optimiser="adam", loss=each_member_alone)


def _authors(epochs: int) -> TrainingConfig:
    return TrainingConfig(epochs=epochs, learning_rate=1e-3, optimiser="adam", drop_at=epochs, loss=each_member_alone)


def _mnist(summary: str, epsilon: float, weights: Path | None) -> Preset:
    """A preset judged on digits that ship with the data plugin, and trained on none of them."""
    return Preset(
        summary=summary,
        data="mnist",
        threat=ThreatModel("linf", epsilon),
        weights=weights,
        train_split="train-disjoint",
        test_split="shipped",
    )


def _cifar10(summary: str, epsilon: float, weights: Path | None) -> Preset:
    return Preset(summary=summary, data="cifar10", threat=ThreatModel("linf", epsilon), weights=weights)


class EMPIR(ConfiguredDefense):
    """Ensembles of mixed precision (Sen, Ravindran and Raghunathan, ICLR 2020).

    ``mnist`` and ``cifar10`` are the authors' networks with fewer filters; ``-single`` is the control, the member of
    full precision alone, out of the same weights. ``paper`` and ``paper-mnist`` are the authors' networks and
    hyper-parameters, without weights, at the budgets of their claim.
    """

    presets: ClassVar[Mapping[str, Preset]] = {
        "mnist": _mnist("vote of three small networks", 0.2, WEIGHTS / "mnist.safetensors"),
        "mnist-single": _mnist("the member of mnist of full precision, alone", 0.2, WEIGHTS / "mnist.safetensors"),
        "cifar10": _cifar10("vote of three networks of half the width", 0.031, WEIGHTS / "cifar10.safetensors"),
        "cifar10-single": _cifar10(
            "the member of cifar10 of full precision, alone", 0.031, WEIGHTS / "cifar10.safetensors"
        ),
        "paper": _cifar10("the authors' ensemble for CIFAR-10", 0.1, None),
        "paper-mnist": _mnist("the authors' ensemble for digits", 0.3, None),
    }

    configurations: ClassVar[Mapping[str, Configuration]] = {
        "mnist": Configuration(network=lambda: MixedPrecision(_digits(24)), training=_short(6)),
        "mnist-single": Configuration(network=lambda: FullPrecision(_digits(24), 10), training=_short(6)),
        "cifar10": Configuration(network=lambda: MixedPrecision(_colour(16)), training=_short(6)),
        "cifar10-single": Configuration(network=lambda: FullPrecision(_colour(16), 10), training=_short(6)),
        "paper": Configuration(network=lambda: MixedPrecision(_colour(32)), training=_authors(6)),
        "paper-mnist": Configuration(network=lambda: MixedPrecision(_digits(64)), training=_authors(15)),
    }
