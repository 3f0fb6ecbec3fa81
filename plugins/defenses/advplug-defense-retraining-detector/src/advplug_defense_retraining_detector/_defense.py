"""The presets of the retrained detector, the images it is trained on, and its training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, cast

import torch
from advplug_defense_adversarial_training import AdversarialTraining
from torch import nn

from advplug.data import Images
from advplug.defense import Defense, EpochCallback, Preset
from advplug.model import DefendedModel
from advplug.threat import ThreatModel
from advplug.training import Configuration, TrainingConfig, fit, seeded
from advplug_defense_retraining_detector._attacks import LOSSES, attacked
from advplug_defense_retraining_detector._model import Detected, Detector

WEIGHTS = Path(__file__).parent / "weights"

ATTACKED = 2000
"""Images that each attack is run on; as many others for each loss join them as they are."""

TRAINING = TrainingConfig(epochs=8, learning_rate=1e-3, optimiser="adam", weight_decay=1e-4)
"""Adam and the weight decay of the authors; they train for 100 epochs and keep the best on the test set."""

SMALL, LARGE = (8, 16, 32), (16, 32, 64, 64)
"""Widths of two detectors. What is left on CIFAR-10 is too faint for the small one."""


def _preset(summary: str, data: str, train: str, test: str) -> Preset:
    return Preset(
        summary=summary,
        data=data,
        threat=ThreatModel("l2"),
        weights=WEIGHTS / f"{data}.safetensors",
        train_split=train,
        test_split=test,
    )


class RetrainingDetector(Defense):
    """A network that was trained to tell the images of four attacks from genuine ones (Ozbulak et al. 2020, section V).

    Both presets put a detector beside the plain network of ``adversarial-training`` for the same images: a small one on
    digits, a larger one, trained for longer, on CIFAR-10.
    """

    presets: ClassVar[Mapping[str, Preset]] = {
        "mnist": _preset("plain network for digits, small detector", "mnist", "train-disjoint", "shipped"),
        "cifar10": _preset("plain network for CIFAR-10, larger detector", "cifar10", "train", "test"),
    }

    detectors: ClassVar[Mapping[str, Configuration]] = {
        "mnist": Configuration(network=lambda: Detector(1, 28, SMALL), training=TRAINING),
        "cifar10": Configuration(network=lambda: Detector(3, 32, LARGE), training=replace(TRAINING, epochs=20)),
    }

    def network(self, preset: str) -> Detected:
        """The classifier with its weights, beside an untrained detector."""
        self.preset(preset)
        return Detected(AdversarialTraining().build(preset), self.detectors[preset].network()).eval()

    def trained_part(self, preset: str, model: DefendedModel) -> nn.Module:
        """The detector; the classifier comes with another distribution."""
        return cast(Detected, model).detector

    def train(
        self, preset: str, data: Images, *, seed: int, device: torch.device | str, on_epoch: EpochCallback
    ) -> DefendedModel:
        """Attack the classifier with all four losses, then train the detector on what they found.

        Raises
        ------
        InvalidInput: unknown preset, or too few images.
        """
        model = seeded(seed, lambda: self.network(preset)).to(device)
        images = genuine_and_adversarial(model.classifier, data, tuple(LOSSES))
        fit(model.detector, images, self.detectors[preset].training, seed=seed, device=device, on_epoch=on_epoch)
        return model.eval()


def genuine_and_adversarial(classifier: nn.Module, images: Images, losses: Sequence[str]) -> Images:
    """Genuine images, class 0, and about as many adversarial ones, class 1: a training or test set of a detector.

    Each loss attacks the first images, at most ``ATTACKED``; the genuine ones are those and the next, one for each
    adversarial image as far as there are enough. No image is genuine and attacked a second time under another label.
    """
    first = images[:ATTACKED]
    found = torch.cat([attacked(classifier, first, name).cpu() for name in losses])
    genuine = images.inputs[: len(found)]
    labels = torch.cat((torch.zeros(len(genuine)), torch.ones(len(found)))).long()
    return Images(torch.cat((genuine, found)), labels, ("genuine", "adversarial"), f"{images.name}, attacked")
