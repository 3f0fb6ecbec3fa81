"""The presets of the detector, the training of their classifiers and the calibration of their thresholds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, cast

import torch
from advplug_defense_adversarial_training import AdversarialTraining
from advplug_defense_kwta import KWTA

from advplug.data import Images
from advplug.defense import Defense, EpochCallback, Preset
from advplug.model import DefendedModel
from advplug.threat import ThreatModel
from advplug.training import TrainingConfig, fit, seeded
from advplug_defense_weakness_strength._calibration import joint_thresholds
from advplug_defense_weakness_strength._detector import Descent
from advplug_defense_weakness_strength._model import WeaknessStrength
from advplug_defense_weakness_strength._networks import VGG19

WEIGHTS = Path(__file__).parent / "weights"

HELD_OUT = 1000
"""The last images of a split on which the classifier was not trained: the thresholds come from them."""

RATE = 0.1
"""Share of clean, correctly classified images that the thresholds reject; the authors have 0.1 and 0.2."""

SHARES = (0.1, 0.1, 0.8)
"""Of these rejections: noise, steps towards another class, steps away from the own one, which see PGD best."""


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """What makes a preset: the classifier, and the settings of the detector.

    ``classifier`` gives the network, with its weights unless ``training`` says how it is trained; ``thresholds`` are
    those that need no calibration.
    """

    classifier: Callable[[], DefendedModel]
    sigma: float
    descents: tuple[Descent, ...]
    training: TrainingConfig | None = None
    thresholds: tuple[float, ...] | None = None


class WeaknessStrengthDefense(Defense):
    """The detector of Yu et al. (NeurIPS 2019) around an undefended classifier.

    ``mnist`` and ``cifar10`` stand around networks of other defenses that were trained plainly, and ship nothing but
    their thresholds, of all three tests of the paper. ``paper`` has the authors' network, settings and thresholds,
    without weights.
    """

    presets: ClassVar[Mapping[str, Preset]] = {
        "mnist": Preset(
            summary="small network, thresholds at 10 % false positives",
            data="mnist",
            threat=ThreatModel("linf", 0.3),
            weights=WEIGHTS / "mnist.safetensors",
            train_split="test",
            test_split="shipped",
        ),
        "cifar10": Preset(
            summary="small network, thresholds at 10 % false positives",
            data="cifar10",
            threat=ThreatModel("linf", 0.1),
            weights=WEIGHTS / "cifar10.safetensors",
            train_split="test",
        ),
        "paper": Preset(
            summary="the authors' VGG-19, settings and thresholds",
            data="cifar10",
            threat=ThreatModel("linf", 0.1),
            weights=None,
        ),
    }

    configurations: ClassVar[Mapping[str, Configuration]] = {
        "mnist": Configuration(
            classifier=lambda: KWTA().build("mnist-relu"),
            sigma=0.1,
            descents=(
                Descent(rate=0.05, radius=0.5, cap=30),
                Descent(rate=1e5, radius=0.5, cap=15, targeted=False),
            ),
        ),
        "cifar10": Configuration(
            classifier=lambda: AdversarialTraining().build("cifar10"),
            sigma=0.01,
            descents=(
                Descent(rate=0.02, radius=0.5, cap=30),
                Descent(rate=3.0, radius=0.5, cap=15, targeted=False),
            ),
        ),
        # The last threshold lies beyond the cap of its score, as in the authors' code: that test rejects nothing.
        "paper": Configuration(
            classifier=VGG19,
            training=TrainingConfig(
                epochs=300,
                learning_rate=0.05,
                augment=True,
                weight_decay=5e-4,
                drop_at=tuple(range(30, 300, 30)),
                drop_by=2,
            ),
            sigma=0.01,
            descents=(
                Descent(rate=0.0005, radius=0.5, cap=200),
                Descent(rate=1.0, radius=0.5, cap=1000, targeted=False),
            ),
            thresholds=(0.009, 119.0, 10_000.0),
        ),
    }

    def network(self, preset: str) -> DefendedModel:
        """The model of ``preset``, which rejects nothing unless the authors' thresholds are known."""
        self.preset(preset)
        chosen = self.configurations[preset]
        return WeaknessStrength(chosen.classifier(), chosen.sigma, chosen.descents, chosen.thresholds).eval()

    def trained_part(self, preset: str, model: DefendedModel) -> torch.nn.Module:
        """The thresholds, and the classifier where it is trained here."""
        return model if self.configurations[preset].training else cast(WeaknessStrength, model).detector

    def train(
        self, preset: str, data: Images, *, seed: int, device: torch.device | str, on_epoch: EpochCallback
    ) -> DefendedModel:
        """Calibrate on the last images of ``data``; for ``paper``, train the classifier instead.

        Raises
        ------
        InvalidInput: unknown preset, too few images, or none of the last ones that the classifier gets right.
        """
        self.preset(preset)
        chosen = self.configurations[preset]
        model = cast(WeaknessStrength, seeded(seed, lambda: self.network(preset)).to(device))
        if chosen.training is not None:
            fit(model.classifier, data, chosen.training, seed=seed, device=device, on_epoch=on_epoch)
        if chosen.thresholds is None:
            clean = data[-HELD_OUT:].to(device)
            seeded(seed, lambda: _calibrated(model, clean, on_epoch))
        return model


@torch.no_grad()
def _calibrated(model: WeaknessStrength, clean: Images, on_epoch: EpochCallback) -> WeaknessStrength:
    """``model`` with thresholds that reject the share ``RATE`` of the images of ``clean`` that it gets right."""
    scores = []
    for x, y in clean.batches(250):
        right = model(x).argmax(1) == y
        scores.append(model.detector_scores(x[right]))
    found = torch.cat(scores)
    model.detector.values.copy_(joint_thresholds(found, RATE, SHARES))
    on_epoch(1, 1, {"flagged": float((found > model.thresholds).any(1).double().mean())})
    return model
