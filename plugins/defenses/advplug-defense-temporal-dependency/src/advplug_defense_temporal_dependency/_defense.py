"""The presets of the detector, the training of their networks and of the threshold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, cast

import torch

from advplug.data import Images
from advplug.defense import Defense, EpochCallback, Preset
from advplug.model import DefendedModel
from advplug.threat import ThreatModel
from advplug.training import seeded
from advplug.transcription import Transcriber
from advplug_defense_temporal_dependency._model import TemporalDependency
from advplug_defense_temporal_dependency._networks import DeepSpeech, DigitNet
from advplug_defense_temporal_dependency._training import Schedule, calibrate, fit

WEIGHTS = Path(__file__).parent / "weights"

HELD_OUT = 500
"""The last phrases of the training split: the network does not see them, and the threshold comes from them."""

RATE = 0.05
"""Share of clean phrases that the threshold may reject. The authors report no threshold, but areas under the curve."""

THREAT = ThreatModel("linf", None, (-1.0, 1.0))


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """What makes a preset: the network, and the beginnings that the detector looks at."""

    recogniser: Callable[[], Transcriber]
    shares: tuple[float, ...]
    schedule: Schedule = field(default_factory=Schedule)


class TemporalDependencyDefense(Defense):
    """The detector of Yang et al. (ICLR 2019) around a network that transcribes.

    ``digits`` is a small network for phrases of four digits, and looks at three beginnings. ``paper`` has the network
    that the authors attack and defend, for digits, and the one beginning that they look at, without weights.
    """

    presets: ClassVar[Mapping[str, Preset]] = {
        "digits": Preset(
            summary="small network, three beginnings, threshold at 5 % false positives",
            data="spoken-digits",
            threat=THREAT,
            weights=WEIGHTS / "digits.safetensors",
            test_split="shipped",
        ),
        "paper": Preset(
            summary="the authors' DeepSpeech, first half against the whole",
            data="spoken-digits",
            threat=THREAT,
            weights=None,
            test_split="shipped",
        ),
    }

    configurations: ClassVar[Mapping[str, Configuration]] = {
        "digits": Configuration(recogniser=DigitNet, shares=(0.25, 0.5, 0.75)),
        "paper": Configuration(recogniser=DeepSpeech, shares=(0.5,)),
    }

    def network(self, preset: str) -> DefendedModel:
        """The model of ``preset``, which rejects nothing before it has a threshold."""
        self.preset(preset)
        chosen = self.configurations[preset]
        return TemporalDependency(chosen.recogniser(), chosen.shares).eval()

    def train(
        self, preset: str, data: Images, *, seed: int, device: torch.device | str, on_epoch: EpochCallback
    ) -> DefendedModel:
        """Train the network, and set the threshold on the last phrases of ``data``.

        Raises
        ------
        InvalidInput: unknown preset, or phrases that cannot be trained on.
        """
        self.preset(preset)
        schedule = self.configurations[preset].schedule
        model = cast(TemporalDependency, seeded(seed, lambda: self.network(preset)).to(device))
        held_out = min(HELD_OUT, len(data) // 4)
        fit(model.recogniser, data[:-held_out], schedule, seed=seed, device=device, on_epoch=on_epoch)
        rejected = calibrate(model, data[-held_out:].to(device), RATE)
        on_epoch(schedule.epochs, schedule.epochs, {"flagged": rejected})
        return model.eval()
