"""``advplug break`` and ``advplug report`` with a tiny case: light and dark images of four pixels."""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from advplug import AdaptiveSpec, AttackSpec, DatasetSpec, DefenseSpec, hookimpl
from advplug.adaptive import AdaptiveAttack, Recipe
from advplug.attack import Attack
from advplug.cli import run
from advplug.cli._table import WIDTH
from advplug.data import Dataset, Images
from advplug.defense import Defense, Preset
from advplug.engine.task import Task
from advplug.model import DefendedModel
from advplug.numerics.tensors import raw, wrap
from advplug.plugins.manager import Manager, using
from advplug.threat import ThreatModel

DOCUMENT = {"schema_version", "case", "preset", "threat", "clean_accuracy", "rows", "broken", "run_dir"}
ROW = {"role", "name", "library", "robust_accuracy", "detected", "queries", "seconds", "published", "source"}


class Answer(NamedTuple):
    exit_code: int
    stdout: str
    stderr: str


Advplug = Callable[..., Answer]


class Dots(Dataset):
    splits = ("test",)
    class_names = ("dark", "light")

    def load(self, split: str, limit: int | None = None) -> Images:
        inputs = torch.linspace(0, 1, 12).reshape(12, 1, 1, 1).expand(12, 1, 2, 2).clone()
        return Images(inputs, (inputs[:, 0, 0, 0] > 0.5).long(), self.class_names, "dots")[:limit]


class Brightness(DefendedModel):
    def __init__(self) -> None:
        super().__init__(2)
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        light = (x.flatten(1).mean(1) - 0.5) * self.weight
        return torch.stack((-light, light), 1)


class Bright(Defense):
    presets: ClassVar = {
        "mnist": Preset(summary="s", data="dots", threat=ThreatModel("linf", 0.6), weights=Path("there")),
        "bare": Preset(summary="s", data="dots", threat=ThreatModel("linf", 0.6), weights=None),
    }

    def network(self, preset: str) -> DefendedModel:
        return Brightness()

    def build(self, preset: str, device: Any = "cpu", weights: Path | None = None) -> DefendedModel:
        return self.network(preset) if preset == "mnist" else super().build(preset, device, weights)

    def train(self, *args: Any, **options: Any) -> DefendedModel:
        raise NotImplementedError


class Shift(Attack):
    """Moves every pixel by ``share`` of the budget towards the other class; counts its runs, and fails on demand."""

    runs: ClassVar[list[float]] = []
    norms = ("linf",)

    def __init__(self, *, share: float = 1.0, fails: bool = False) -> None:
        self.share, self.fails = share, fails

    def run(self, task: Task) -> None:
        Shift.runs.append(self.share)
        if self.fails:
            raise RuntimeError("the attack has a bug")
        away = (1 - 2 * raw(task.labels)).view(-1, 1, 1, 1) * raw(task.epsilon).view(-1, 1, 1, 1) * self.share
        task.evaluate(task.project(wrap(raw(task.inputs) + away)))


class BreakBright(AdaptiveAttack):
    breaks = "bright"
    claim = "The claim."
    lesson = "The lesson."
    share = 1.0
    fails = False

    def baselines(self, preset: str, threat: ThreatModel) -> Sequence[Recipe]:
        weak = Shift(share=0.1)
        return [Recipe(name="weak", attack=weak, role="baseline", library="foolbox", published=0.9, source="Table 1")]

    def recipes(self, preset: str, threat: ThreatModel, model: DefendedModel) -> Sequence[Recipe]:
        return [Recipe(name="strong", attack=Shift(share=self.share, fails=self.fails), published=0.0, source="Sec. 2")]


class BreakNothing(BreakBright):
    share = 0.1


class BreakBadly(BreakBright):
    fails = True


class Plugin:
    @hookimpl
    def advplug_attacks(self) -> list[AttackSpec]:
        return [AttackSpec(name="shift", factory="fake_case:Shift", summary="s", reference="r")]

    @hookimpl
    def advplug_datasets(self) -> list[DatasetSpec]:
        return [DatasetSpec(name="dots", factory="fake_case:Dots", summary="s", reference="r")]

    @hookimpl
    def advplug_defenses(self) -> list[DefenseSpec]:
        return [DefenseSpec(name="bright", factory="fake_case:Bright", summary="s", reference="r")]

    @hookimpl
    def advplug_adaptive(self) -> list[AdaptiveSpec]:
        cases = {"bright": "BreakBright", "nothing": "BreakNothing", "badly": "BreakBadly"}
        return [
            AdaptiveSpec(name=name, factory=f"fake_case:{factory}", summary="s", reference="r", breaks="bright")
            for name, factory in cases.items()
        ]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Advplug]:
    """Runs the command line in an empty folder, with its exit codes and both streams."""
    module = ModuleType("fake_case")
    module.__dict__.update({name: value for name, value in globals().items() if isinstance(value, type)})
    monkeypatch.setitem(sys.modules, "fake_case", module)
    monkeypatch.chdir(tmp_path)
    Shift.runs.clear()

    def invoke(*arguments: object) -> Answer:
        code = run([str(argument) for argument in arguments])
        streams = capsys.readouterr()
        return Answer(code, streams.out, streams.err)

    with using(Manager(plugins=[Plugin()])):
        yield invoke


def only_run(tmp_path: Path) -> Path:
    (found,) = (tmp_path / "advplug-runs").iterdir()
    return found


def test_a_broken_case_prints_table_verdict_and_report(call: Advplug, tmp_path: Path) -> None:
    result = call("break", "bright")
    assert result.exit_code == 0, result.stderr
    for text in ("weak", "strong", "100.0 %", "90.0 % [1]", "0.0 % [2]", "[1] Table 1", "[2] Sec. 2", "is broken"):
        assert text in result.stdout
    assert "count as lost" in result.stdout.replace("\n", " ")
    assert "report: " in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= WIDTH
    assert (only_run(tmp_path) / "report.html").is_file()
    assert only_run(tmp_path).name == "bright-mnist-linf-0.6-n12-seed0"


def test_progress_is_one_line_an_attack_on_stderr(call: Advplug) -> None:
    result = call("break", "bright", "--no-report")
    assert [line.partition(":")[0] for line in result.stderr.splitlines()] == ["weak", "strong"]
    assert "samples ..." not in result.stdout


def test_json_has_the_documented_keys_and_stdout_nothing_else(call: Advplug) -> None:
    result = call("break", "bright", "--no-report", "--json")
    document = json.loads(result.stdout)
    assert document.keys() >= DOCUMENT
    assert [row["role"] for row in document["rows"]] == ["baseline", "adaptive"]
    for row in document["rows"]:
        assert row.keys() >= ROW
        assert 0 <= row["robust_accuracy"] <= 1
        assert row["detected"] is None
    assert (document["schema_version"], document["case"], document["preset"]) == (2, "bright", "mnist")
    assert document["threat"] == "linf:0.6"
    assert document["clean_accuracy"] == 1
    assert document["broken"] is True
    assert Path(document["run_dir"]).is_dir()


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_a_claim_that_does_not_hold_exits_with_1(call: Advplug, arguments: tuple[str, ...]) -> None:
    result = call("break", "nothing", "--no-report", *arguments)
    assert result.exit_code == 1
    assert '"broken": false' in result.stdout if arguments else "is not broken" in result.stdout


def test_a_second_run_computes_nothing_and_says_so(call: Advplug) -> None:
    first = json.loads(call("break", "bright", "--no-report", "--json").stdout)
    runs = list(Shift.runs)
    again = call("break", "bright", "--no-report", "--json")
    assert Shift.runs == runs
    assert json.loads(again.stdout) == first
    assert "2 of 2 attacks read" in again.stderr


def test_fresh_computes_again_and_leaves_other_files_alone(call: Advplug, tmp_path: Path) -> None:
    call("break", "bright", "--no-report")
    note = only_run(tmp_path) / "note.txt"
    note.write_text("mine")
    Shift.runs.clear()
    assert call("break", "bright", "--fresh", "--no-report").exit_code == 0
    assert Shift.runs == [0.1, 1.0]
    assert note.read_text() == "mine"


def test_an_extra_attack_does_not_count_as_adaptive_nor_run_the_others_again(call: Advplug) -> None:
    call("break", "nothing", "--no-report")
    Shift.runs.clear()
    result = call("break", "nothing", "--attack", "shift", "--no-report", "--json")
    assert result.exit_code == 1
    rows = json.loads(result.stdout)["rows"]
    assert [(row["role"], row["name"]) for row in rows][-1] == ("intermediate", "shift")
    assert Shift.runs == [1.0]


def test_an_attack_that_raises_leaves_no_evaluation_and_what_was_done_is_kept(call: Advplug, tmp_path: Path) -> None:
    result = call("break", "badly")
    assert result.exit_code == 3
    assert "the attack has a bug" in result.stderr
    assert result.stdout == ""
    run = only_run(tmp_path)
    assert {path.parent.name for path in run.rglob("*") if path.is_file()} == {run.name, "rows", "behaviours"}
    assert [path.name for path in run.iterdir() if path.is_file()] == ["job.json"]
    assert {path.suffix for path in (run / "rows").iterdir()} == {".json", ".npz"}
    assert len(list((run / "rows").glob("*.json"))) == 1
    assert call("report", only_run(tmp_path)).exit_code == 2


def test_own_data_limit_and_directory(call: Advplug, tmp_path: Path) -> None:
    x = np.full((5, 2, 2), 200, np.uint8)
    np.savez(tmp_path / "mine.npz", x=x, y=np.array([1, 1, 1, 1, 0]))
    result = call("break", "bright", "--data", "mine.npz", "--limit", 4, "--out", "here", "--no-report", "--json")
    document = json.loads(result.stdout)
    assert document["samples"] == 4
    assert document["run_dir"] == "here"
    assert not (tmp_path / "here" / "report.html").exists()


def test_where_the_labels_of_own_images_come_from_is_said_in_one_line(call: Advplug, tmp_path: Path) -> None:
    for label in (0, 1):
        Image.new("L", (2, 2), 200 * label).save(tmp_path / f"pic_{label}.png")
    result = call("break", "bright", "--data", tmp_path, "--no-report", "--json")
    assert json.loads(result.stdout)["samples"] == 2
    assert result.stderr.splitlines()[0].startswith(f"! {tmp_path}: labels are the last numbers of the file names")


@pytest.mark.parametrize("arguments", [("--sweep", "3"), ("--epsilons", "0.4,1/5,0.6")])
def test_smaller_budgets(call: Advplug, arguments: tuple[str, ...]) -> None:
    document = json.loads(call("break", "bright", "--no-report", "--json", *arguments).stdout)
    for row in document["rows"]:
        assert [round(epsilon, 9) for epsilon, _ in row["sweep"]] == [0.2, 0.4, 0.6]
        assert row["sweep"][-1][1] == row["robust_accuracy"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("brigth",), 4, "did you mean adaptive:bright"),
        (("bright", "--preset", "bare"), 4, "ships no weights"),
        (("bright", "--preset", "none"), 2, "choose one of mnist, bare"),
        (("bright", "--attack", "shitf"), 4, "did you mean attack:shift"),
        (("bright", "--data", "absent.npz"), 2, "absent.npz"),
        (("bright", "--device", "nonsense"), 2, "--device nonsense"),
        (("bright", "--epsilons", "0.1,x"), 2, "--epsilons 0.1,x"),
        (("bright", "--epsilons", "0.7"), 2, "at most 0.6"),
        (("bright", "--epsilons", "0.1", "--sweep", "2"), 2, "one of them"),
        (("bright", "--limit", "-1"), 2, "--limit"),
        ((), 2, "CASE"),
    ],
)
def test_wrong_calls(call: Advplug, tmp_path: Path, arguments: tuple[str, ...], code: int, message: str) -> None:
    result = call("break", *arguments)
    assert result.exit_code == code
    assert message in result.stderr
    assert result.stdout == ""
    assert not (tmp_path / "advplug-runs").exists()
    assert Shift.runs == []


def test_report_formats(call: Advplug, tmp_path: Path) -> None:
    document = json.loads(call("break", "bright", "--no-report", "--json").stdout)
    page = only_run(tmp_path) / "report.html"
    assert not page.exists()
    directory = document["run_dir"]
    assert json.loads(call("report", directory, "--format", "json").stdout) == document
    table = call("report", directory, "--format", "md").stdout
    assert "| adaptive | strong |" in table
    assert not page.exists()
    assert call("report", directory).stdout.strip() == str(Path(directory) / "report.html")
    assert page.is_file()


@pytest.mark.parametrize("target", ["evaluation.json", "inputs.npz", "rows/*.json", "rows/*.npz"])
@pytest.mark.parametrize("damage", ["empty", "cut", "gone"])
def test_a_damaged_run_directory_is_an_error_that_the_same_command_mends(
    call: Advplug, tmp_path: Path, target: str, damage: str
) -> None:
    call("break", "bright", "--no-report")
    file = sorted(only_run(tmp_path).glob(target))[0]
    content = file.read_bytes()
    file.unlink() if damage == "gone" else file.write_bytes(content[: len(content) // 2] if damage == "cut" else b"")
    result = call("report", only_run(tmp_path), "--format", "md")
    assert result.exit_code == 2, result.stderr
    assert result.stderr.startswith("Error: ")
    lost = target == "evaluation.json" and damage == "gone"
    assert "no finished evaluation" in result.stderr if lost else "the same command again mends it" in result.stderr
    Shift.runs.clear()
    assert call("break", "bright", "--no-report").exit_code == 0
    assert len(Shift.runs) == ("rows" in target)
    assert call("report", only_run(tmp_path), "--format", "md").exit_code == 0


@pytest.mark.parametrize("out", ["afile", "afile/below"])
def test_a_directory_of_no_use_is_refused_before_the_defense_is_built(
    call: Advplug, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    (tmp_path / "afile").write_text("x")
    monkeypatch.setattr(Bright, "build", None)
    result = call("break", "bright", "--out", out)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"Error: the run directory {out} cannot be written: ")
    assert len(result.stderr.splitlines()) == 1


def test_a_broken_case_on_a_full_disk_is_shown_and_exits_with_1(call: Advplug, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    result = call("break", "bright", "--no-report")
    assert result.exit_code == 1
    assert "is broken" in result.stdout
    (line,) = (line for line in result.stderr.splitlines() if line.startswith("!"))
    assert "the row weak, the row strong, the evaluation (No space left on device)" in line


def test_report_of_what_is_no_run(call: Advplug, tmp_path: Path) -> None:
    result = call("report", tmp_path)
    assert result.exit_code == 2
    assert "no finished evaluation" in result.stderr
