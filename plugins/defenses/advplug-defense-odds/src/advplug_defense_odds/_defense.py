"""The presets of the detector, their classifiers and their calibration."""

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
from advplug_defense_odds._model import OddsModel
from advplug_defense_odds._networks import WideResNet
from advplug_defense_odds._noise import SEVERAL, SINGLE, Noise

WEIGHTS = Path(__file__).parent / "weights"

CALIBRATION = 10_000
"""Training images from which the statistics come, as many as in the authors' code."""

BATCH = 250


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """What makes a preset.

    ``classifier`` gives the network, with its weights unless ``training`` says how it is trained; ``noises`` and
    ``draws`` are those of the detector.
    """

    classifier: Callable[[], DefendedModel]
    noises: tuple[Noise, ...]
    draws: int
    training: TrainingConfig | None = None


class Odds(Defense):
    """The statistical test of Roth et al. (ICML 2019) around an undefended classifier.

    ``mnist`` and ``cifar10`` stand around networks of other defenses that were trained plainly, and ship nothing but
    the statistics. ``paper`` is the authors' wide residual network with nine kinds of noise, without weights.
    """

    presets: ClassVar[Mapping[str, Preset]] = {
        "mnist": Preset(
            summary="small network, one noise, 32 draws",
            data="mnist",
            threat=ThreatModel("linf", 0.3),
            weights=WEIGHTS / "mnist.safetensors",
            train_split="train-disjoint",
            test_split="shipped",
        ),
        "cifar10": Preset(
            summary="small network, one noise, 32 draws",
            data="cifar10",
            threat=ThreatModel("linf", 8 / 255),
            weights=WEIGHTS / "cifar10.safetensors",
        ),
        "paper": Preset(
            summary="the authors' wide residual network, nine noises, 256 draws",
            data="cifar10",
            threat=ThreatModel("linf", 8 / 255),
            weights=None,
        ),
    }

    configurations: ClassVar[Mapping[str, Configuration]] = {
        "mnist": Configuration(classifier=lambda: KWTA().build("mnist-relu"), noises=SINGLE, draws=32),
        "cifar10": Configuration(
            classifier=lambda: AdversarialTraining().build("cifar10"), noises=(Noise("normal", 0.03),), draws=32
        ),
        # 205 epochs are the 80,000 updates of the CIFAR-10 challenge, whose rate falls at 40,000 and 60,000.
        "paper": Configuration(
            classifier=WideResNet,
            noises=SEVERAL,
            draws=256,
            training=TrainingConfig(epochs=205, learning_rate=0.1, augment=True, drop_at=(102, 154)),
        ),
    }

    def network(self, preset: str) -> DefendedModel:
        """The model of ``preset``, whose detector has no statistics yet; ``paper``'s network is untrained, too."""
        self.preset(preset)
        chosen = self.configurations[preset]
        return OddsModel(chosen.classifier(), chosen.noises, chosen.draws).eval()

    def trained_part(self, preset: str, model: DefendedModel) -> torch.nn.Module:
        """The statistics, and the classifier where it is trained here."""
        return model if self.configurations[preset].training else cast(OddsModel, model).detector

    def train(
        self, preset: str, data: Images, *, seed: int, device: torch.device | str, on_epoch: EpochCallback
    ) -> DefendedModel:
        """Take the statistics from the first images of ``data``, after training the classifier where none ships.

        Raises
        ------
        InvalidInput: unknown preset, or too few images.
        """
        self.preset(preset)
        model = cast(OddsModel, seeded(seed, lambda: self.network(preset)))
        training = self.configurations[preset].training
        if training is not None:
            fit(model.classifier, data, training, seed=seed, device=device, on_epoch=on_epoch)
        clean = data[:CALIBRATION].inputs
        seeded(seed, lambda: _calibrated(model.to(device).eval(), clean.to(device), on_epoch))
        return model


@torch.no_grad()
def _calibrated(model: OddsModel, x: torch.Tensor, on_epoch: EpochCallback) -> OddsModel:
    model.detector.calibrate(model.classifier, x.split(BATCH))
    # On the images that the statistics come from; the README has the rate on others.
    flagged = torch.cat([~model.decide(part).accepted for part in x[: 4 * BATCH].split(BATCH)])
    on_epoch(1, 1, {"flagged": float(flagged.float().mean())})
    return model
