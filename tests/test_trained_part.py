"""A defense that ships the weights of one part: the rest comes with the network, and stays what it is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from advplug.data import Images
from advplug.defense import Defense, EpochCallback, Preset
from advplug.errors import CorruptWeights
from advplug.model import DefendedModel
from advplug.threat import ThreatModel


class Guarded(DefendedModel):
    """A classifier of another defense, and a detector of our own."""

    def __init__(self) -> None:
        super().__init__(2)
        self.classifier, self.detector = nn.Linear(3, 2), nn.Linear(3, 1)
        nn.init.constant_(self.classifier.weight, 7.0)  # as it ships elsewhere

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(x)
        return logits


class Whole(Defense):
    presets = {"p": Preset(summary="s", data="d", threat=ThreatModel(), weights=None)}  # noqa: RUF012

    def network(self, preset: str) -> Guarded:
        return Guarded()

    def train(
        self, preset: str, data: Images, *, seed: int, device: torch.device | str, on_epoch: EpochCallback
    ) -> DefendedModel:
        return self.network(preset)


class Part(Whole):
    def trained_part(self, preset: str, model: DefendedModel) -> nn.Module:
        assert isinstance(model, Guarded)
        return model.detector


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """The weights of a detector, and of all, in which everything is 1."""
    model = Guarded()
    found = {}
    for name, module in (("part", model.detector), ("whole", model)):
        found[name] = tmp_path / f"{name}.safetensors"
        save_file({key: torch.ones_like(value) for key, value in module.state_dict().items()}, found[name])
    return found


def test_only_the_part_is_loaded(files: dict[str, Path]) -> None:
    model = Part().build("p", weights=files["part"])
    assert isinstance(model, Guarded)
    assert bool((model.detector.weight == 1).all())
    assert bool((model.classifier.weight == 7).all())
    assert not model.training


def test_all_is_loaded_unless_a_part_is_named(files: dict[str, Path]) -> None:
    model = Whole().build("p", weights=files["whole"])
    assert all(bool((value == 1).all()) for value in model.state_dict().values())


def test_the_weights_of_another_part_are_refused(files: dict[str, Path]) -> None:
    for defense, name in ((Part(), "whole"), (Whole(), "part")):
        with pytest.raises(CorruptWeights, match="another network"):
            defense.build("p", weights=files[name])
