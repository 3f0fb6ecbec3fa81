"""The presets: transformations before networks of another defense, trained plainly or on transformed images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, cast

import torch
from advplug_defense_adversarial_training import AdversarialTraining

from advplug.data import Images
from advplug.defense import Defense, EpochCallback, Preset
from advplug.model import DefendedModel
from advplug.threat import ThreatModel
from advplug_defense_input_transformations._denoisers import Median, NonLocalMeans
from advplug_defense_input_transformations._geometry import CropRescale, ResizePad
from advplug_defense_input_transformations._model import InputTransformed
from advplug_defense_input_transformations._patches import shipped
from advplug_defense_input_transformations._quantisers import JPEG, BitDepth
from advplug_defense_input_transformations._quilting import Quilting
from advplug_defense_input_transformations._total_variation import TotalVariation
from advplug_defense_input_transformations._transformation import Transformation

CLASSIFIERS = Path(str(getattr(find_spec("advplug_defense_adversarial_training"), "origin", ""))).parent / "weights"
"""Weights of the networks that know no transformation."""

WEIGHTS = Path(__file__).parent / "weights"
RETRAINED, PART = "-retrained", 500

SUMMARIES = {
    "": "one after the other: JPEG, random size and place",
    "-bits": "bit depth: 1 bit for digits, 3 in colour",
    "-jpeg": "JPEG of quality 75",
    "-crop": "mean over 10 random crops, 4 pixels smaller",
    "-pad": "random size and place, up to 6 pixels smaller",
    "-tv": "total variation minimised, half of the pixels dropped",
    "-quilting": "quilting from 5,000 patches of clean images, 10 neighbours",
    "-median": "median of 2x2 pixels",
    "-nlm": "non-local means, 13-3-16",
}
"""What comes before the network, by the end of the preset's name."""

AGAIN = ("-tv", "-quilting")
"""Before these the authors put networks that were trained on images so transformed."""


def _mnist(what: str) -> Preset:
    return Preset(
        summary=what,
        data="mnist",
        threat=ThreatModel("linf", 0.2),
        weights=CLASSIFIERS / "mnist.safetensors",
        train_split="train-disjoint",
        test_split="shipped",
    )


def _cifar10(what: str) -> Preset:
    return Preset(
        summary=what, data="cifar10", threat=ThreatModel("linf", 8 / 255), weights=CLASSIFIERS / "cifar10.safetensors"
    )


def _retrained(end: str) -> Preset:
    """Digits behind one transformation, before a network that learned from transformed digits."""
    name = f"mnist{end}{RETRAINED}"
    plain = _mnist(f"{SUMMARIES[end]}, before a network trained on such images")
    return replace(plain, weights=WEIGHTS / f"{name}.safetensors", train_split="train-few")


@dataclass(frozen=True)
class Configuration:
    """What a preset does to an image, first to last, and over how many draws it averages."""

    transformations: tuple[Transformation, ...]
    draws: int = 1


def _configurations(data: str) -> Mapping[str, Callable[[], Configuration]]:
    """The configuration of each preset for ``data``, by the end of its name."""
    digits, side = data == "mnist", 28 if data == "mnist" else 32
    places = ResizePad(side - 6)
    return {
        "": lambda: Configuration((JPEG(75), places)),
        "-bits": lambda: Configuration((BitDepth(1 if digits else 3),)),
        "-jpeg": lambda: Configuration((JPEG(75),)),
        "-crop": lambda: Configuration((CropRescale(side - 4),), draws=10),
        "-pad": lambda: Configuration((places,)),
        "-tv": lambda: Configuration((TotalVariation(),)),
        "-quilting": lambda: Configuration((Quilting(shipped(data)),)),
        "-median": lambda: Configuration((Median(2),)),
        "-nlm": lambda: Configuration((NonLocalMeans(strength=16.0),)),
    }


class InputTransformations(Defense):
    """Transformations of the input (Guo et al., ICLR 2018; Xie et al., ICLR 2018; Xu et al., NDSS 2018).

    ``mnist`` and ``cifar10`` are two transformations in a row, the others are one each. The networks behind them are
    those of ``adversarial-training:mnist`` and ``adversarial-training:cifar10``, which know nothing of them, but for
    ``-retrained``: there the network learned from transformed images.
    """

    presets: ClassVar[Mapping[str, Preset]] = {
        **{f"mnist{end}": _mnist(what) for end, what in SUMMARIES.items()},
        **{f"mnist{end}{RETRAINED}": _retrained(end) for end in AGAIN},
        **{f"cifar10{end}": _cifar10(what) for end, what in SUMMARIES.items()},
    }

    def configuration(self, preset: str) -> Configuration:
        """What happens to an image in ``preset``.

        Raises
        ------
        InvalidInput: unknown preset.
        """
        data = self.preset(preset).data
        return _configurations(data)[preset.removeprefix(data).removesuffix(RETRAINED)]()

    def network(self, preset: str) -> DefendedModel:
        """The untrained network of ``preset``, behind its transformations."""
        chosen = self.configuration(preset)
        classifier = AdversarialTraining().network(self.preset(preset).data)
        return InputTransformed(classifier, *chosen.transformations, draws=chosen.draws)

    def trained_part(self, preset: str, model: DefendedModel) -> torch.nn.Module:
        """The network behind the transformations."""
        return cast(InputTransformed, model).classifier

    def train(
        self, preset: str, data: Images, *, seed: int, device: torch.device | str, on_epoch: EpochCallback
    ) -> DefendedModel:
        """Train the network as ``adversarial-training`` does; on images that were transformed once, if so named."""
        model = cast(InputTransformed, self.network(preset))
        if preset.endswith(RETRAINED):
            draws = torch.Generator().manual_seed(seed)
            parts = [model.transformed(part, draws) for part in data.inputs.split(PART)]
            data = replace(data, inputs=torch.cat(parts))
        model.classifier = AdversarialTraining().train(
            self.preset(preset).data, data, seed=seed, device=device, on_epoch=on_epoch
        )
        return model.to(device).eval()
