"""The model of a finished evaluation: the preset that was evaluated, its shipped weights, the same samples."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from advplug import DefenseSpec, hookimpl
from advplug.cli import run
from advplug.data import Images
from advplug.defense import Defense, EpochCallback, Preset
from advplug.errors import MissingWeights, UnknownPlugin
from advplug.evaluation import Evaluation
from advplug.model import DefendedModel
from advplug.plugins.manager import Manager, using
from advplug.report import rebuilt
from advplug.threat import ThreatModel


class Scale(DefendedModel):
    """Logits: the two values of the input times a number."""

    def __init__(self) -> None:
        super().__init__(2)
        self.factor = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


class Scaling(Defense):
    presets: ClassVar[Mapping[str, Preset]] = {}

    def network(self, preset: str) -> Scale:
        return Scale()

    def train(
        self, preset: str, data: Images, *, seed: int, device: torch.device | str, on_epoch: EpochCallback
    ) -> DefendedModel:
        return self.network(preset)


class Plugin:
    @hookimpl
    def advplug_defenses(self) -> list[DefenseSpec]:
        return [DefenseSpec(name="scaling", factory="scaling_parts:Scaling", summary="s", reference="r")]


@pytest.fixture(autouse=True)
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Presets that ship a factor, none, and a file that is absent."""
    files: dict[str, Path | None] = {"paper": None, "lost": tmp_path / "lost.safetensors"}
    for name, factor in (("double", 2.0), ("triple", 3.0)):
        files[name] = tmp_path / f"{name}.safetensors"
        save_file({"factor": torch.tensor([factor])}, files[name])
    threat = ThreatModel("linf", 0.1)
    presets = {name: Preset(summary="s", data="d", threat=threat, weights=file) for name, file in files.items()}
    monkeypatch.setattr(Scaling, "presets", presets)
    parts = ModuleType("scaling_parts")
    parts.Scaling = Scaling  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "scaling_parts", parts)
    with using(Manager(plugins=[Plugin()])):
        yield


def evaluation(preset: str | None) -> Evaluation:
    return Evaluation(
        case="scaling",
        preset=preset,
        threat="linf:0.1",
        samples=3,
        clean_accuracy=1.0,
        clean_error_rate=None,
        false_positives=None,
        rows=(),
        inputs=np.random.default_rng(0).random((3, 2), dtype=np.float32),
        labels=np.array([0, 1, 0]),
    )


def test_the_evaluated_preset_with_its_weights_and_the_samples() -> None:
    judged = evaluation("double")
    found = rebuilt(judged, "scaling")
    assert found is not None
    model, inputs, labels = found
    assert (inputs.dtype, labels.dtype) == (torch.float32, torch.int64)
    np.testing.assert_array_equal(inputs.numpy(), judged.inputs)
    np.testing.assert_array_equal(labels.numpy(), judged.labels)
    torch.testing.assert_close(model(inputs), 2 * inputs)
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_another_preset_on_the_same_samples() -> None:
    judged = evaluation("double")
    found = rebuilt(judged, "scaling", "triple")
    assert found is not None
    torch.testing.assert_close(found.model(found.inputs), 3 * torch.from_numpy(judged.inputs))
    assert rebuilt(judged, "scaling", "paper") is None


@pytest.mark.parametrize("preset", ["paper", "unheard of", "", None])
def test_nothing_where_no_preset_with_weights_was_evaluated(preset: str | None) -> None:
    assert rebuilt(evaluation(preset), "scaling") is None


def test_a_defense_or_a_file_that_is_absent_is_an_error() -> None:
    with pytest.raises(UnknownPlugin):
        rebuilt(evaluation("double"), "shrinking")
    with pytest.raises(MissingWeights, match="no weights at"):
        rebuilt(evaluation("lost"), "scaling")


@pytest.mark.parametrize("threat", ["l2:min", "linf:0.1"])
def test_sections_of_a_case_know_runs_without_a_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], threat: str
) -> None:
    """The section on the landscape failed under a minimum norm, and the run warned of its own plugin."""
    monkeypatch.chdir(tmp_path)
    words = ["evaluate", "kwta:mnist", "--attacks", "pgd", "--threat", threat, "--limit", "4", "--out", "run"]
    with using(Manager()):  # of the installed plugins
        assert run(words) == 0
    assert "failed in advplug_report_sections" not in capsys.readouterr().err
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert ("Why gradients fail" in page) == (threat != "l2:min")
