"""The presets of asymmetrical adversarial training, the training of their detectors and the thresholds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, cast

import torch
from advplug_defense_adversarial_training import AdversarialTraining
from advplug_defense_odds import WideResNet

from advplug.data import Images
from advplug.defense import Defense, EpochCallback, Preset
from advplug.model import DefendedModel
from advplug.threat import ThreatModel
from advplug.training import Adversary, TrainingConfig, fit, seeded
from advplug_defense_aat._detectors import Detectors, OneAfterAnother, SideBySide
from advplug_defense_aat._model import Generative, Integrated, OneClassModel, calibrate
from advplug_defense_aat._training import Asymmetrical

WEIGHTS = Path(__file__).parent / "weights"

JUDGED, HELD_OUT = 1000, 2000
"""No detector is trained on the first ``HELD_OUT`` images of the training split. Thresholds come from those after the
first ``JUDGED``, which are left for evaluation where both splits are the same."""

LOST = 0.05
"""Share of clean accuracy that the thresholds cost: "5 % false positives"."""


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """What makes a preset.

    Parameters
    ----------
    classifier: gives the classifier of the integrated mode.
    detectors: gives the untrained detectors.
    training: of the detectors.
    generative: leave the classifier out.
    base: training of the classifier, from whose weights the detectors then start; None where it ships.
    """

    classifier: Callable[[], DefendedModel]
    detectors: Callable[[], Detectors]
    training: TrainingConfig
    generative: bool = False
    base: TrainingConfig | None = None


def _mnist(summary: str) -> Preset:
    """A preset trained and judged on the digits that ship with the data plugin."""
    return Preset(
        summary=summary,
        data="mnist",
        threat=ThreatModel("linf", 0.3),
        weights=WEIGHTS / "mnist.safetensors",
        train_split="shipped",
        test_split="shipped",
    )


def _cifar10(summary: str, *, ships: bool) -> Preset:
    """A preset for CIFAR-10, with weights if it ``ships``."""
    weights = WEIGHTS / "cifar10.safetensors" if ships else None
    return Preset(summary=summary, data="cifar10", threat=ThreatModel("linf", 8 / 255), weights=weights)


DIGITS = Configuration(
    classifier=lambda: AdversarialTraining().build("mnist"),
    detectors=lambda: SideBySide(1, 28, (8, 16, 32), 32),
    training=TrainingConfig(
        epochs=25,
        learning_rate=2e-3,
        batch_size=320,
        optimiser="adam",
        loss=Asymmetrical(adversary=Adversary(epsilon=0.3, step_size=0.1, steps=7), each=32),
    ),
)
COLOUR = Configuration(
    classifier=lambda: AdversarialTraining().build("cifar10"),
    detectors=lambda: SideBySide(3, 32, (16, 32, 48), 32),
    training=TrainingConfig(
        epochs=60,
        learning_rate=2e-3,
        batch_size=320,
        optimiser="adam",
        augment=True,
        loss=Asymmetrical(adversary=Adversary(epsilon=8 / 255, step_size=4 / 255, steps=4), each=32),
    ),
)
# 205 epochs of batches of 128 are the 80,000 updates of the classifier; those of a detector are 40,000, of 300 images
# of its class and as many others. A pass over 48,000 images in batches of 3,000 has 16 steps.
PAPER = Configuration(
    classifier=WideResNet,
    detectors=lambda: OneAfterAnother(WideResNet() for _ in range(10)),
    base=TrainingConfig(epochs=205, learning_rate=0.1, augment=True, drop_at=(102, 154), weight_decay=2e-4),
    training=TrainingConfig(
        epochs=2500,
        learning_rate=1e-3,
        batch_size=3000,
        augment=True,
        drop_at=2500,
        weight_decay=2e-4,
        loss=Asymmetrical(adversary=Adversary(epsilon=8 / 255, step_size=0.5 / 255, steps=40), each=300),
    ),
)


class AAT(Defense):
    """Asymmetrical adversarial training (Yin, Kolouri and Rohde, ICLR 2020): one detector for each class.

    ``mnist`` and ``cifar10`` are integrated classifiers: small detectors behind the plain network of
    ``adversarial-training``. ``mnist-generative`` and ``cifar10-generative`` are the generative classifiers of the same
    detectors. ``paper`` and ``paper-generative`` have the authors' networks and hyper-parameters, without weights.
    """

    presets: ClassVar[Mapping[str, Preset]] = {
        "mnist": _mnist("plain network, ten small detectors"),
        "mnist-generative": _mnist("the detectors of mnist alone"),
        "cifar10": _cifar10("plain network, ten small detectors", ships=True),
        "cifar10-generative": _cifar10("the detectors of cifar10 alone", ships=True),
        "paper": _cifar10("the authors' wide residual networks: a classifier and ten detectors", ships=False),
        "paper-generative": _cifar10("the ten detectors of paper alone", ships=False),
    }

    configurations: ClassVar[Mapping[str, Configuration]] = {
        "mnist": DIGITS,
        "mnist-generative": replace(DIGITS, generative=True),
        "cifar10": COLOUR,
        "cifar10-generative": replace(COLOUR, generative=True),
        "paper": PAPER,
        "paper-generative": replace(PAPER, generative=True),
    }

    def network(self, preset: str) -> OneClassModel:
        """The model of ``preset`` with untrained detectors that accept everything."""
        self.preset(preset)
        chosen = self.configurations[preset]
        detectors = chosen.detectors()
        return (Generative(detectors) if chosen.generative else Integrated(chosen.classifier(), detectors)).eval()

    def trained_part(self, preset: str, model: DefendedModel) -> torch.nn.Module:
        """The detectors with both thresholds, and the classifier where it is trained here."""
        return model if self.configurations[preset].base else cast(OneClassModel, model).detectors

    def train(
        self, preset: str, data: Images, *, seed: int, device: torch.device | str, on_epoch: EpochCallback
    ) -> DefendedModel:
        """Train the detectors, then set both thresholds on images that they did not see.

        Raises
        ------
        InvalidInput: unknown preset, too few images, or too few that are classified right.
        """
        self.preset(preset)
        chosen = self.configurations[preset]
        whole = seeded(seed, lambda: Integrated(chosen.classifier(), chosen.detectors()))
        enough = len(data) > 2 * HELD_OUT  # a handful of images serves as both
        seen, clean = (data[HELD_OUT:], data[JUDGED:HELD_OUT]) if enough else (data, data)
        if chosen.base is not None:
            fit(whole.classifier, seen, chosen.base, seed=seed, device=device, on_epoch=on_epoch)
            cast(OneAfterAnother, whole.detectors).start_from(whole.classifier)
        fit(whole.detectors, seen, chosen.training, seed=seed, device=device, on_epoch=on_epoch)
        alone = Generative(whole.detectors)
        for model in (whole.to(device).eval(), alone):
            calibrate(model, clean.to(device), LOST)
        return alone if chosen.generative else whole
