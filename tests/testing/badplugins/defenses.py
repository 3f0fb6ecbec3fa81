"""Defenses: sound ones, and for every check one that fails it. ``BAD`` has them by the name of the check."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from advplug.data import Images
from advplug.defense import Defense, EpochCallback, Preset
from advplug.errors import DataUnavailable
from advplug.model import Decision, DefendedModel
from advplug.threat import ThreatModel


class Net(DefendedModel):
    """Mean brightness decides; the weights are known."""

    def __init__(self) -> None:
        super().__init__(2)
        self.layer = nn.Linear(16, 2)
        with torch.no_grad():
            self.layer.weight.copy_(torch.tensor([[-1.0], [1.0]]).expand(2, 16))
            self.layer.bias.copy_(torch.tensor([8.0, -8.0]))

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.layer(x.flatten(1))
        return scores


class Good(Defense):
    """A linear classifier without a defense."""

    model: ClassVar[type[DefendedModel]] = Net
    recorded: ClassVar[bool] = True
    presets: ClassVar[Mapping[str, Preset]] = {}

    @classmethod
    def make_presets(cls, weights: Path) -> dict[str, Preset]:
        return {"squares": preset(weights)}

    def network(self, preset: str) -> DefendedModel:
        self.preset(preset)
        return self.model()

    def train(
        self, preset: str, data: Images, *, seed: int, device: torch.device | str, on_epoch: EpochCallback
    ) -> DefendedModel:
        return self.network(preset)


def preset(weights: Path | None, data: str = "squares", summary: str = "a linear classifier") -> Preset:
    return Preset(summary=summary, data=data, threat=ThreatModel("linf", 0.3), weights=weights)


def equip(folder: Path) -> None:
    """Write the weights of every defense of this module into ``folder``, and point their presets to them."""
    for defense in [*SOUND, *BAD.values()]:
        path = folder / f"{defense.__name__}.safetensors"
        save_file(defense.model().state_dict(), path)
        if defense.recorded:
            path.with_suffix(".json").write_text(json.dumps({"command": ["advplug", "train"], "seed": 0}))
        defense.presets = defense.make_presets(path)


class NoisyNet(Net):
    stochastic = True

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + torch.randn(len(x), 2)


class GoodStochastic(Good):
    model = NoisyNet


class RejectingNet(Net):
    def decide(self, x: Tensor) -> Decision:
        return Decision(self(x).argmax(1), self.detector_scores(x) < 0.5)

    def detector_scores(self, x: Tensor) -> Tensor:
        return x.flatten(1).std(1)


class GoodDetector(Good):
    model = RejectingNet


class RandomlyRejectingNet(RejectingNet):
    stochastic = True

    def detector_scores(self, x: Tensor) -> Tensor:
        return super().detector_scores(x) + torch.rand(len(x))


class GoodRandomDetector(Good):
    model = RandomlyRejectingNet


class GoodWithImages(Good):
    """One of its presets holds images of a data set that is not here."""

    @classmethod
    def make_presets(cls, weights: Path) -> dict[str, Preset]:
        return {"squares": preset(weights), "elsewhere": preset(weights)}

    def build(self, preset: str, device: torch.device | str = "cpu", weights: Path | None = None) -> DefendedModel:
        model = super().build(preset, device, weights)
        if preset == "elsewhere":
            raise DataUnavailable("its images are not here")
        return model


class HasNoSummary(Good):
    @classmethod
    def make_presets(cls, weights: Path) -> dict[str, Preset]:
        return {"squares": preset(weights, summary=" ")}


class JudgedNowhere(Good):
    @classmethod
    def make_presets(cls, weights: Path) -> dict[str, Preset]:
        return {"squares": preset(weights), "paper": preset(None, data="nowhere")}


class StaysInTraining(Good):
    def build(self, preset: str, device: Any = "cpu", weights: Path | None = None) -> DefendedModel:
        return super().build(preset, device, weights).train()


class RecordsNothing(Good):
    recorded = False


class BuildsWithoutWeights(Good):
    def build(self, preset: str, device: Any = "cpu", weights: Path | None = None) -> DefendedModel:
        if weights is not None and not weights.exists():
            weights = None
        return super().build(preset, device, weights)


class LooksUpPresets(Good):
    def preset(self, name: str) -> Preset:
        return self.presets[name]


class MaskedNet(Net):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + torch.tensor([0.0, -torch.inf])


class MasksAClass(Good):
    model = MaskedNet


class SoftNet(Net):
    def decide(self, x: Tensor) -> Decision:
        return Decision(self(x).argmax(1), torch.ones(len(x)))


class AcceptsInFloat(Good):
    model = SoftNet


class HiddenNoiseNet(Net):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 1e-5 * torch.randn(len(x), 2)


class HidesNoise(Good):
    model = HiddenNoiseNet


class CentredNet(Net):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x - x.mean(0) + 0.5)


class CentresTheBatch(Good):
    model = CentredNet


class CountingNet(Net):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x)


class CountsCalls(Good):
    model = CountingNet


class FlatNet(Net):
    def surrogate(self, x: Tensor) -> Tensor:
        return self(x).amax(1)


class OffersOneScore(Good):
    model = FlatNet


class MovesOnce(Net):
    """Defense.build moves the model to its device, and so does Foolbox."""

    moved = False

    def to(self, *_: Any, **__: Any) -> Any:
        if self.moved:
            raise RuntimeError("this model has been moved already")
        self.moved = True
        return self


class CannotBeMovedAgain(Good):
    model = MovesOnce


class SaysItMoved(Net):
    """ART moves the parts of a model."""

    def to(self, *_: Any, **__: Any) -> Any:
        return self

    def _apply(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("the parts of this model cannot be moved")


class HasFixedParts(Good):
    model = SaysItMoved


class BatchwiseNet(RejectingNet):
    """Rejects what stands out from the batch, so that ART, which takes other batches, gets other answers."""

    def decide(self, x: Tensor) -> Decision:
        scores = self.detector_scores(x)
        return Decision(self(x).argmax(1), scores <= scores.mean())


class RejectsByTheBatch(Good):
    model = BatchwiseNet


SOUND: list[type[Good]] = [Good, GoodStochastic, GoodDetector, GoodRandomDetector, GoodWithImages]
BAD: dict[str, type[Good]] = {
    "presets_are_described": HasNoSummary,
    "judged_on_known_data": JudgedNowhere,
    "builds_shipped_presets": StaysInTraining,
    "weights_are_small_and_recorded": RecordsNothing,
    "names_missing_weights": BuildsWithoutWeights,
    "refuses_unknown_presets": LooksUpPresets,
    "logits_are_finite": MasksAClass,
    "decides": AcceptsInFloat,
    "is_deterministic_or_says_so": HidesNoise,
    "does_not_mix_the_batch": CentresTheBatch,
    "forward_changes_nothing": CountsCalls,
    "offers_have_their_shape": OffersOneScore,
    "works_in_foolbox": CannotBeMovedAgain,
    "works_in_art": HasFixedParts,
    "detects_in_art": RejectsByTheBatch,
}
TAGS: dict[str, set[str]] = {}
