"""The presets of the joint detector: classifiers of another defense that were trained plainly, and a threshold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import ClassVar, cast

import torch
from advplug_defense_adversarial_training import AdversarialTraining
from advplug_defense_input_transformations import BitDepth, Median, NonLocalMeans, Transformation

from advplug.data import Images
from advplug.defense import Defense, EpochCallback, Preset
from advplug.families import CarliniNet
from advplug.model import DefendedModel
from advplug.threat import ThreatModel
from advplug.training import TrainingConfig, fit, seeded
from advplug_defense_feature_squeezing._calibration import calibrate, largest_scores
from advplug_defense_feature_squeezing._model import FeatureSqueezing

WEIGHTS = Path(__file__).parent / "weights"

DIGITS: tuple[Transformation, ...] = (BitDepth(1), Median(2))
COLOUR: tuple[Transformation, ...] = (BitDepth(5), Median(2), NonLocalMeans(13, 3, 2.0))
"""The joint detectors of the authors."""

AUTHORS = 1.2358
"""Their threshold for the joint detector of digits and their network."""


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """What makes a preset.

    ``classifier`` gives the network, with its weights unless ``training`` says how it is trained. A ``threshold`` that
    is infinite is calibrated.
    """

    classifier: Callable[[], DefendedModel]
    squeezers: tuple[Transformation, ...]
    threshold: float = inf
    training: TrainingConfig | None = None


def _mnist(summary: str, threat: ThreatModel, weights: Path | None = WEIGHTS / "mnist.safetensors") -> Preset:
    """A preset whose threshold comes from half of the shipped digits: its network was trained on other ones."""
    split = "train-disjoint" if weights is None else "shipped"
    return Preset(
        summary=summary, data="mnist", threat=threat, weights=weights, train_split=split, test_split="shipped"
    )


def _cifar10(summary: str, threat: ThreatModel) -> Preset:
    """A preset whose threshold comes from half of the test images, as that of the authors."""
    weights = WEIGHTS / "cifar10.safetensors"
    return Preset(summary=summary, data="cifar10", threat=threat, weights=weights, train_split="test")


MNIST = Configuration(classifier=lambda: AdversarialTraining().build("mnist"), squeezers=DIGITS)
CIFAR10 = Configuration(classifier=lambda: AdversarialTraining().build("cifar10"), squeezers=COLOUR)


class Squeezed(Defense):
    """The joint detectors of feature squeezing (Xu, Evans and Qi, NDSS 2018) around undefended classifiers.

    ``mnist`` and ``cifar10`` stand around networks of ``adversarial-training`` that were trained plainly, and ship a
    threshold alone. ``mnist`` and ``cifar10-l2`` ask for the smallest perturbation; ``mnist-linf`` and ``cifar10`` have
    a budget. ``paper`` is the network for digits of the authors with their threshold, without weights.
    """

    presets: ClassVar[Mapping[str, Preset]] = {
        "mnist": _mnist("small network, 1 bit and median 2x2", ThreatModel("l2")),
        "mnist-linf": _mnist("the model of mnist under Linf", ThreatModel("linf", 0.3)),
        "cifar10": _cifar10("small network, 5 bits, median 2x2, means 13-3-2", ThreatModel("linf", 8 / 255)),
        "cifar10-l2": _cifar10("the model of cifar10, smallest perturbation", ThreatModel("l2")),
        "paper": _mnist("the authors' network and threshold for digits", ThreatModel("linf", 0.3), None),
    }

    configurations: ClassVar[Mapping[str, Configuration]] = {
        "mnist": MNIST,
        "mnist-linf": MNIST,
        "cifar10": CIFAR10,
        "cifar10-l2": CIFAR10,
        "paper": Configuration(
            classifier=CarliniNet,
            squeezers=DIGITS,
            threshold=AUTHORS,
            training=TrainingConfig(epochs=50, learning_rate=0.01, drop_at=50),
        ),
    }

    def network(self, preset: str) -> DefendedModel:
        """The model of ``preset``, which accepts everything until it is calibrated; ``paper``'s network is untrained.

        Raises
        ------
        InvalidInput: unknown preset.
        """
        self.preset(preset)
        chosen = self.configurations[preset]
        return FeatureSqueezing(chosen.classifier(), chosen.squeezers, chosen.threshold).eval()

    def trained_part(self, preset: str, model: DefendedModel) -> torch.nn.Module:
        """The threshold, and the classifier where it is trained here."""
        return model if self.configurations[preset].training else cast(FeatureSqueezing, model).detector

    def train(
        self, preset: str, data: Images, *, seed: int, device: torch.device | str, on_epoch: EpochCallback
    ) -> DefendedModel:
        """Set the threshold on the second half of ``data``; or train the classifier of ``paper`` on all of it.

        ``on_epoch`` hears of ``false_positives``, the share of the first half that the threshold rejects.

        Raises
        ------
        InvalidInput: unknown preset, or too few images.
        """
        model = cast(FeatureSqueezing, seeded(seed, lambda: self.network(preset))).to(device)
        training = self.configurations[preset].training
        if training is not None:
            with torch.random.fork_rng(devices=[]):  # dropout draws from torch's global generator
                torch.manual_seed(seed)
                fit(model.classifier, data, training, seed=seed, device=device, on_epoch=on_epoch)
            return model.eval()
        half = len(data) // 2
        calibrate(model, data[half:].to(device))
        rejected = largest_scores(model, data[:half].to(device)) > model.detector.tau
        on_epoch(1, 1, {"false_positives": float(rejected.float().mean())})
        return model
