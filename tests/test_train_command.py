"""``advplug train`` with a tiny defense."""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import advplug
from advplug import DatasetSpec, DefenseSpec, hookimpl
from advplug.cli import run
from advplug.data import Dataset, Images
from advplug.defense import Defense, EpochCallback, Preset
from advplug.errors import InvalidInput
from advplug.model import DefendedModel
from advplug.plugins.manager import Manager, using
from advplug.threat import ThreatModel


class Dots(Dataset):
    splits = ("fit", "judge")
    class_names = ("dark", "light")

    def load(self, split: str, limit: int | None = None) -> Images:
        inputs = torch.linspace(0, 1, 8).reshape(8, 1, 1, 1)
        return Images(inputs, (inputs.flatten() > 0.5).long(), self.class_names, f"dots-{split}")


class Line(Defense):
    presets = {  # noqa: RUF012
        "thin": Preset(summary="s", data="dots", threat=ThreatModel(), weights=None, train_split="fit"),
        "thick": Preset(summary="s", data="dots", threat=ThreatModel(), weights=None),
    }

    def network(self, preset: str) -> Any:
        return torch.nn.Linear(1, 2)

    def train(
        self, preset: str, data: Images, *, seed: int, device: torch.device | str, on_epoch: EpochCallback
    ) -> Any:
        if preset == "thick":
            raise InvalidInput("too thick")
        model = self.network(preset)
        with torch.no_grad():
            model.weight.fill_(float(seed))
            model.bias.copy_(data.inputs.mean().expand(2))
        for epoch in (1, 2):
            on_epoch(epoch, 2, {"loss": 1 / epoch, "accuracy": torch.tensor(0.5)})  # type: ignore[dict-item]
        model.alias = model.weight  # shared memory, which safetensors refuses unless it is copied
        return model


class Plugin:
    @hookimpl
    def advplug_defenses(self) -> list[DefenseSpec]:
        return [DefenseSpec(name="line", factory="toy_line:Line", summary="s", reference="r")]

    @hookimpl
    def advplug_datasets(self) -> list[DatasetSpec]:
        return [DatasetSpec(name="dots", factory="toy_line:Dots", summary="s", reference="r")]


@pytest.fixture(autouse=True)
def plugins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    module = ModuleType("toy_line")
    module.Line, module.Dots = Line, Dots  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "toy_line", module)
    monkeypatch.chdir(tmp_path)
    with using(Manager(plugins=[Plugin()])):
        yield


def test_weights_and_a_record_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "line", "--seed", "3"]) == 0
    streams = capsys.readouterr()
    assert streams.out == "line-thin-seed3.safetensors\n"
    assert "line thin 2/2 loss 0.5 accuracy 0.5" in streams.err
    weights = load_file("line-thin-seed3.safetensors")
    assert sorted(weights) == ["alias", "bias", "weight"]
    assert weights["weight"].eq(3).all()
    record = json.loads(Path("line-thin-seed3.json").read_text())
    assert record["metrics"] == {"loss": 0.5, "accuracy": 0.5}
    assert (record["defense"], record["preset"], record["seed"]) == ("defense:line", "thin", 3)
    assert (record["data"], record["images"], record["device"]) == ("dots-fit", 8, "cpu")
    assert record["command"][0] == "advplug"
    assert record["versions"] == {"advplug": advplug.__version__, "torch": torch.__version__, "plugin": ""}
    assert sorted(path.name for path in Path().iterdir()) == ["line-thin-seed3.json", "line-thin-seed3.safetensors"]


def test_json_and_the_users_own_data(capsys: pytest.CaptureFixture[str]) -> None:
    np.savez("mine.npz", x=np.full((2, 1, 1, 1), 0.25), y=np.array([0, 1]))
    assert (
        run(["train", "defense:line", "--preset", "thin", "--data", "mine.npz", "--out", "w.safetensors", "--json"])
        == 0
    )
    answer = json.loads(capsys.readouterr().out)
    assert (answer["schema_version"], answer["data"], answer["weights"]) == (1, "mine", "w.safetensors")
    assert load_file("w.safetensors")["bias"].tolist() == [0.25, 0.25]


def test_own_floats_lie_in_the_range_of_images(capsys: pytest.CaptureFixture[str]) -> None:
    np.savez("mine.npz", x=np.full((2, 1, 1, 1), 7.0), y=np.array([0, 1]))
    assert run(["train", "defense:line", "--preset", "thin", "--data", "mine.npz", "--out", "w.safetensors"]) == 2
    assert "mine.npz: x ranges over [7, 7], outside the bounds [0, 1]: rescale it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("shape", "labels", "message"),
    [
        ((2, 3, 1, 1), [0, 1], "--data mine.npz: images of shape (3, 1, 1), the preset takes (1, 1, 1)"),
        ((2, 4), [0, 1], "--data mine.npz: images of shape (4,), the preset takes (1, 1, 1)"),
        ((2, 1, 1, 1), [0, 2], "--data mine.npz: the label 2, the preset has classes 0 to 1"),
    ],
)
def test_own_images_fit_the_preset(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    shape: tuple[int, ...],
    labels: list[int],
    message: str,
) -> None:
    monkeypatch.setattr(Dots, "shape", (1, 1, 1))
    np.savez("mine.npz", x=np.full(shape, 0.5), y=labels)
    assert run(["train", "line", "--data", "mine.npz"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_a_folder_of_the_name_is_not_the_presets_own_data(capsys: pytest.CaptureFixture[str]) -> None:
    Path("dots").mkdir()
    assert run(["train", "line", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["data"] == "dots-fit"
    assert run(["train", "line", "--data", "dots"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert "! dots is the folder of that name here: data:dots means the plugin" in lines


def test_only_the_part_that_was_trained_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """A detector around a classifier that ships elsewhere writes its own statistics, and loads them back."""

    class Pair(DefendedModel):
        def __init__(self) -> None:
            super().__init__(2)
            self.shipped, self.own = torch.nn.Linear(1, 2), torch.nn.Linear(1, 2)

    class Around(Line):
        def network(self, preset: str) -> DefendedModel:
            return Pair()

        def train(self, preset: str, data: Images, **options: Any) -> DefendedModel:
            return Pair()

        def trained_part(self, preset: str, model: DefendedModel) -> torch.nn.Module:
            assert isinstance(model, Pair)
            return model.own

    monkeypatch.setattr(sys.modules["toy_line"], "Line", Around)
    assert run(["train", "line", "--out", "w.safetensors"]) == 0
    assert sorted(load_file("w.safetensors")) == ["bias", "weight"]
    built = Around().build("thin", weights=Path("w.safetensors"))
    assert torch.equal(built.own.weight, load_file("w.safetensors")["weight"])


def test_a_failed_write_keeps_the_earlier_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("w.safetensors").write_bytes(b"earlier")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("safetensors.torch.save_file", fail)
    assert run(["train", "line", "--out", "w.safetensors"]) == 3
    assert Path("w.safetensors").read_bytes() == b"earlier"
    assert [path.name for path in Path().iterdir()] == ["w.safetensors"]


def test_a_record_replaces_records_alone(capsys: pytest.CaptureFixture[str]) -> None:
    Path("w.json").write_text('{"mine": 1}')
    assert run(["train", "line", "--out", "w.safetensors"]) == 2
    assert "would replace w.json, which is no record" in capsys.readouterr().err
    assert Path("w.json").read_text() == '{"mine": 1}'
    Path("w.json").unlink()
    assert [run(["train", "line", "--out", "w.safetensors", "--seed", seed]) for seed in "01"] == [0, 0]
    assert json.loads(Path("w.json").read_text())["seed"] == 1


def test_a_full_disk_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", fail)
    assert run(["train", "line", "--out", "w.safetensors"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"Error: [Errno {errno.ENOSPC}] No space left on device: make room, then give the same command again"
    )
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["train", "line", "--preset", "none"], 2, "choose one of thin, thick"),
        (["train", "line", "--preset", "thick", "--data", "dots"], 2, "too thick"),
        (["train", "data:dots"], 2, "data:dots is no defense"),
        (["train", "line", "--data", ""], 2, "--data is empty"),
        (["train", "line", "--seed", str(2**70)], 2, "at most 63 bits"),
        (["train", "lime"], 4, "did you mean defense:line?"),
        (["train", "line", "--data", "dits"], 4, "did you mean data:dots?"),
        (["train", "line", "--data", "absent.npz"], 2, "no such file"),
        (["train", "line", "--out", "w.pt"], 2, "must end in .safetensors"),
        (["train", "line", "--out", "absent/w.safetensors"], 2, "absent does not exist"),
        (["train", "line", "--device", "abacus"], 2, "--device abacus"),
    ],
)
def test_errors(capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str) -> None:
    assert run(arguments) == code
    assert message in capsys.readouterr().err
    assert not list(Path().iterdir())


@pytest.mark.parametrize("words", [["line:thin"], ["defense:line:thin"], ["line", "--preset", "thin"]])
def test_the_preset_stands_behind_the_name_or_in_the_option(words: list[str]) -> None:
    assert run(["train", *words]) == 0
    assert json.loads(Path("line-thin-seed0.json").read_text())["preset"] == "thin"


def test_data_may_name_a_split() -> None:
    assert run(["train", "line", "--data", "dots:judge"]) == 0
    assert json.loads(Path("line-thin-seed0.json").read_text())["data"] == "dots-judge"
    assert run(["train", "line", "--data", "data:dots"]) == 0
    assert json.loads(Path("line-thin-seed0.json").read_text())["data"] == "dots-fit"


def test_an_interrupt_says_that_nothing_is_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def train(*_: Any, on_epoch: EpochCallback, **__: Any) -> Any:
        on_epoch(1, 2, {})
        raise KeyboardInterrupt

    monkeypatch.setattr(Line, "train", train)
    assert run(["train", "line"]) == 130
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "interrupted" in line]
    assert line.endswith("line-thin-seed0.safetensors was not written, and no epoch is kept: the same command trains "
                         "from the start")  # fmt: skip
    assert not list(Path().iterdir())


def blocks(folder: Path) -> str:
    """A file of 64 small images in two classes, for ``--data``."""
    inputs = torch.rand(64, 1, 28, 28, generator=torch.Generator().manual_seed(0)) / 2
    labels = torch.arange(64) % 2
    inputs[labels == 1, :, :14] += 0.5
    np.savez(folder / "blocks.npz", x=inputs.numpy(), y=labels.numpy())
    return str(folder / "blocks.npz")


@pytest.fixture
def plain() -> Iterator[list[str]]:
    """The command that trains the plain digits network for three epochs."""
    pytest.importorskip("advplug_defense_adversarial_training")
    data = blocks(Path.cwd())
    with using(Manager()):
        yield ["train", "adversarial-training:mnist", "--data", data, "--set", "epochs=3", "--out", "w.safetensors"]


def test_an_interrupted_training_goes_on_to_the_same_bits(
    plain: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run([*plain[:-1], "whole.safetensors"]) == 0
    assert not Path("whole.safetensors.epochs").exists()
    from advplug.training import fitting

    whole_epoch, begun = fitting._Fit._epoch, []

    def interrupted(self: Any) -> Any:
        begun.append(self.at.epoch)
        if len(begun) == 3:
            raise KeyboardInterrupt
        return whole_epoch(self)

    monkeypatch.setattr(fitting._Fit, "_epoch", interrupted)
    assert run(plain) == 130
    assert "kept in w.safetensors.epochs: the same command goes on from there" in capsys.readouterr().err
    assert not Path("w.safetensors").exists()
    assert run([*plain, "--seed", "1"]) == 2
    assert "other settings, seed or data: remove w.safetensors.epochs" in capsys.readouterr().err
    begun.clear()
    monkeypatch.setattr(fitting._Fit, "_epoch", lambda self: (begun.append(self.at.epoch), whole_epoch(self))[1])
    assert run(plain) == 0
    assert begun == [2]
    assert not Path("w.safetensors.epochs").exists()
    one, other = load_file("whole.safetensors"), load_file("w.safetensors")
    for name, value in one.items():
        assert torch.equal(value, other[name]), name
    assert json.loads(Path("w.json").read_text())["settings"] == ["epochs=3"]


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("epoch=3", "epoch is no setting of training: choose one of epochs"),
        ("epochs", "write NAME=VALUE"),
        ("epochs=0", "epochs is 0: give at least 1"),
        ("adversary_steps=3", "mnist is trained without an adversary"),
        ("optimiser=rmsprop", "choose one of sgd, nesterov, adam"),
    ],
)
def test_wrong_settings_are_refused_before_the_data_are_read(
    plain: list[str], setting: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*plain, "--set", setting]) == 2
    assert told in capsys.readouterr().err


def test_settings_of_a_training_of_ones_own_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "line", "--set", "epochs=2"]) == 2
    assert "Line has a training of its own, without settings" in capsys.readouterr().err
