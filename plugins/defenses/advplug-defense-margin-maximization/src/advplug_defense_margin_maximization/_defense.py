"""Deep margin maximisation: its presets, their networks and their training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

from advplug.defense import Preset
from advplug.families import DigitNet
from advplug.model import DefendedModel
from advplug.threat import ThreatModel
from advplug.training import Configuration, ConfiguredDefense, TrainingConfig
from advplug_defense_margin_maximization._networks import MLP, LeNet
from advplug_defense_margin_maximization._objective import MarginMaximization

WEIGHTS = Path(__file__).parent / "weights"

NAMES = {
    "": "hinge loss, L2 penalty",
    "-l1": "hinge loss, L1 penalty",
    "-weak": "hinge loss, L2 penalty of 0.0003",
    "-plain": "hinge loss alone, control",
    "-cross-entropy": "cross-entropy, L2 penalty",
    "-plain-cross-entropy": "cross-entropy alone, control",
}
"""What the suffix of a preset says."""

HINGE = ("", "-l1", "-plain")
CROSS_ENTROPY = ("-cross-entropy", "-plain-cross-entropy")

OBJECTIVES = {
    "": MarginMaximization(0.1),
    "-l1": MarginMaximization(0.01, norm="l1"),
    "-weak": MarginMaximization(0.0003),
    "-plain": MarginMaximization(0),
    "-cross-entropy": MarginMaximization(0.01, loss="cross-entropy"),
    "-plain-cross-entropy": MarginMaximization(0, loss="cross-entropy"),
}
"""The weights are those of the thesis: for digits, and for cross-entropy the largest one for CIFAR-10.

Of ``-weak`` it says that networks without convolutions fool DeepFool at weights from 0.0001 to 0.001.
"""


def _presets(
    base: str, network: str, suffixes: Sequence[str], ships: bool, split: str = "train-disjoint"
) -> dict[str, Preset]:
    """The presets of one network, judged on digits that ship with the data plugin, and trained on none of them."""
    return {
        f"{base}{suffix}": Preset(
            summary=f"{network}, {NAMES[suffix]}",
            data="mnist",
            threat=ThreatModel("linf", 0.2),
            weights=WEIGHTS / f"{base}{suffix}.safetensors" if ships else None,
            train_split=split,
            test_split="shipped",
        )
        for suffix in suffixes
    }


def _configurations(
    base: str, network: Callable[[], DefendedModel], training: TrainingConfig, suffixes: Sequence[str]
) -> dict[str, Configuration]:
    return {
        f"{base}{suffix}": Configuration(network=network, training=replace(training, loss=OBJECTIVES[suffix]))
        for suffix in suffixes
    }


SMALL = TrainingConfig(epochs=6, learning_rate=2e-3, batch_size=100, optimiser="adam")
SHORT = replace(SMALL, epochs=3)
# The rate falls by a twentieth after every epoch.
PAPER = TrainingConfig(
    epochs=100, learning_rate=1e-3, batch_size=100, optimiser="adam", drop_at=tuple(range(1, 100)), drop_by=1 / 0.95
)
FEW = replace(PAPER, epochs=10)


class MarginMaximizationDefense(ConfiguredDefense):
    """Deep margin maximisation (Matyasko's thesis, chapter 3), and the same networks without the penalty.

    ``mnist`` is a small network with the hinge loss and a penalty on the L2 length of the margins' input gradients;
    ``-l1`` marks the L1 penalty, ``-cross-entropy`` the other loss, ``-plain`` no penalty, ``-weak`` a small one.
    ``mnist-lenet`` and ``mnist-mlp`` are trained on a fifth of the digits, which a network can learn by heart.
    ``paper`` and ``paper-mlp`` are the author's networks and training for digits, without weights.
    """

    presets: ClassVar[Mapping[str, Preset]] = (
        _presets("mnist", "small convolutional network", HINGE + CROSS_ENTROPY, True)
        | _presets("mnist-lenet", "LeNet of half the width, 10,000 digits", ("", "-plain"), True, "train-few")
        | _presets("mnist-mlp", "two hidden layers of 256, 10,000 digits", (*HINGE, "-weak"), True, "train-few")
        | _presets("paper", "the LeNet of the thesis", HINGE, False)
        | _presets("paper-mlp", "three hidden layers of 1000", HINGE, False)
    )

    configurations: ClassVar[Mapping[str, Configuration]] = (
        _configurations("mnist", partial(DigitNet, 32), SMALL, HINGE)
        | _configurations("mnist", partial(DigitNet, 32), SHORT, CROSS_ENTROPY)
        | _configurations("mnist-lenet", partial(LeNet, 16), FEW, ("", "-plain"))
        | _configurations("mnist-mlp", partial(MLP, 256, 2), FEW, HINGE)
        | _configurations("mnist-mlp", partial(MLP, 256, 2), replace(FEW, epochs=50), ("-weak",))
        | _configurations("paper", LeNet, PAPER, HINGE)
        | _configurations("paper-mlp", partial(MLP, 1000), PAPER, HINGE)
    )
