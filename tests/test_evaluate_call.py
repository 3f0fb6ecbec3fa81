"""``advplug.evaluate`` as a newcomer calls it: the rows and the directory of the command line, whatever it is given."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import advplug
from advplug import Images, Recipe, ThreatModel, TrackerSpec, hookimpl, load
from advplug.cli import run
from advplug.errors import InvalidInput, UnknownPlugin
from advplug.evaluation import model_job
from advplug.gradients import EOT, Exact
from advplug.losses import CrossEntropy, Margin
from advplug.plugins.manager import Manager
from advplug.records import Evaluation
from advplug.testing.models import linear_case
from advplug.tracking import Step, Tracker

MODULE = """
from advplug.testing.models import linear_case

def net():
    return linear_case(20).model.module
"""
CASE = linear_case(20)
DATA = CASE.inputs, CASE.labels
THREAT = "linf:0.05"
CHANGES = {"seconds", "date", "digest", "inputs_digest", "run_dir", "command"}
"""What differs between two runs of the same job."""


def net() -> nn.Module:
    module: nn.Module = CASE.model.module  # type: ignore[assignment]
    return module


def evaluate(*arguments: Any, **options: Any) -> Evaluation:
    return advplug.evaluate(*arguments, progress=False, **options)


def same_rows(one: Evaluation, other: Evaluation) -> None:
    """The same bits of every record of every row, and the same figures but the time."""
    assert [row.name for row in one.rows] == [row.name for row in other.rows]
    for mine, theirs in zip(one.rows, other.rows, strict=True):
        assert mine.arrays.keys() == theirs.arrays.keys()
        for name, array in mine.arrays.items():
            assert array.tobytes() == theirs.arrays[name].tobytes(), name
        assert {**mine.figures(), "seconds": 0} == {**theirs.figures(), "seconds": 0}


def documents(directory: Path) -> dict[str, Any]:
    """Every JSON file of a run directory by its name, without what differs between two runs."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: plain(inner) for name, inner in value.items() if name not in CHANGES}
        return [plain(inner) for inner in value] if isinstance(value, list) else value

    found = {}
    for path in sorted(directory.rglob("*.json")):
        found[path.relative_to(directory).as_posix()] = plain(json.loads(path.read_text(encoding="utf-8")))
    return found


@pytest.fixture
def files(folder: Any) -> Path:
    folder.write({"newcomer": MODULE})
    path: Path = folder.path
    np.savez(path / "data.npz", x=CASE.inputs.numpy(), y=CASE.labels.numpy())
    return path


def test_rows_and_directory_are_those_of_the_command_line(files: Path) -> None:
    command = (
        "evaluate newcomer:net --data data.npz --threat linf:0.05 --attacks pgd,fgm --losses margin,cross-entropy "
        "--gradients exact,eot:3 --set pgd.steps=5 --limit 12 --seed 3 --sweep 2 --no-report --out line"
    )
    assert run(command.split()) == 0
    found = evaluate(
        "newcomer:net",
        "data.npz",
        THREAT,
        [("pgd", {"steps": 5}), "fgm"],
        losses="margin,cross-entropy",
        gradients=["exact", "eot:3"],
        limit=12,
        seed=3,
        sweep=2,
        run_dir="python",
    )
    assert len(found.rows) == 8
    same_rows(found, Evaluation.load("line"))
    same_rows(found, Evaluation.load("python"))
    line, python = (documents(files / name) for name in ("line", "python"))
    assert line == python
    assert len(line) == 10
    assert line["job.json"]["values"]["settings"] == ["pgd.steps=5"]
    assert (files / "python" / "report.html").is_file()
    assert not (files / "line" / "report.html").exists()


def test_a_run_of_the_command_line_is_resumed_from_python_and_the_other_way(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = "evaluate newcomer:net --data data.npz --threat linf:0.05 --no-report --out run --losses margin"
    assert run([*command.split(), "--attacks", "pgd"]) == 0
    heard: list[str] = []
    advplug.evaluate(
        "newcomer:net", "data.npz", THREAT, ("pgd", "fgm"), losses="margin", run_dir="run", report=False,
        progress=lambda name, done, *_: heard.append(name),
    )  # fmt: skip
    assert set(heard) == {"fgm"}
    capsys.readouterr()
    assert run([*command.split(), "--attacks", "pgd,fgm"]) == 0
    assert "2 of 2 attacks read from the run directory" in capsys.readouterr().err


def test_a_module_and_tensors_give_what_their_names_give(files: Path) -> None:
    named = evaluate("newcomer:net", "data.npz", THREAT, "pgd", limit=8)
    dataset = torch.utils.data.TensorDataset(*DATA)
    arrays, loader = (CASE.inputs.numpy(), CASE.labels.numpy()), torch.utils.data.DataLoader(dataset, batch_size=7)
    for data in (DATA, arrays, Images(*DATA, pixels=False), dataset, loader, files / "data.npz"):
        found = evaluate(net(), data, THREAT, "pgd", limit=8)
        same_rows(found, named)
        assert found.case == "Sequential"
    assert evaluate(net(), DATA, ThreatModel("linf", 0.05), "pgd", name="mine").case == "mine"


def test_all_that_is_passed_is_attacked_and_a_hundred_of_what_is_named(files: Path) -> None:
    case = linear_case(120)
    np.savez(files / "many.npz", x=case.inputs.numpy(), y=case.labels.numpy())
    assert evaluate(net(), (case.inputs, case.labels), THREAT, "fgm").samples == 120
    assert evaluate(net(), "many.npz", THREAT, "fgm").samples == 100
    assert evaluate(net(), "many.npz", THREAT, "fgm", limit=0).samples == 120


def test_pixels_are_rescaled_to_the_bounds() -> None:
    pixels = (CASE.inputs * 255).round().to(torch.uint8)
    found = evaluate(net(), (pixels, CASE.labels), "linf:0.1", "fgm", bounds=(-1, 1))
    assert np.allclose(found.inputs, 2 * (pixels.double().numpy() / 255) - 1, atol=1e-6)


def test_a_mask_of_the_threat_model_goes_with_its_samples() -> None:
    mask = torch.zeros_like(CASE.inputs, dtype=torch.bool)
    mask[::2] = True
    threat = ThreatModel("linf", 0.2, mask=mask.numpy())  # type: ignore[arg-type]
    found = evaluate(net(), DATA, threat, "pgd", limit=9)
    moved = (found.adversarials != found.inputs).reshape(9, -1).any(axis=1)
    places = [int((CASE.inputs == torch.from_numpy(x)).flatten(1).all(1).nonzero()[0, 0]) for x in found.inputs]
    assert moved.any()
    assert all(place % 2 == 0 for place, changed in zip(places, moved.tolist(), strict=True) if changed)


PGD = load("attack:pgd")
SPELLINGS = {
    "name": "pgd",
    "list": ["pgd"],
    "pair": ("pgd", {"steps": 40}),
    "mapping": {"pgd": {}},
    "attack": PGD(),
    "recipe": Recipe(name="pgd", attack=PGD()),
}


@pytest.mark.parametrize("attack", SPELLINGS.values(), ids=SPELLINGS)
def test_an_attack_is_named_made_or_spelled_out(attack: Any) -> None:
    found, named = evaluate(net(), DATA, THREAT, attack), evaluate(net(), DATA, THREAT, "pgd")
    role = "adaptive" if isinstance(attack, Recipe) else named.rows[0].role
    assert found.rows[0].role == role
    same_rows(replace(found, rows=(replace(found.rows[0], role=named.rows[0].role),)), named)


def test_equal_names_are_numbered_and_losses_and_gradients_are_objects_or_names() -> None:
    found = evaluate(net(), DATA, THREAT, ["pgd", ("pgd", {"steps": 2}), PGD(steps=3)])
    assert [row.name for row in found.rows] == ["pgd", "pgd (2)", "pgd (3)"]
    names = evaluate(net(), DATA, THREAT, "pgd", losses=["margin", "cross-entropy"])
    made = evaluate(net(), DATA, THREAT, PGD(), losses=[Margin(), CrossEntropy()])
    assert [row.components for row in names.rows] == [row.components for row in made.rows]
    assert [row.name for row in names.rows] == ["pgd, margin", "pgd, cross-entropy"]
    found = evaluate(net(), DATA, THREAT, "pgd", losses=Margin(), gradients=["exact", EOT(3)])
    assert [row.name for row in found.rows] == ["pgd, exact", f"pgd, {EOT(3)!r}"]


def test_a_function_of_inputs_is_a_model() -> None:
    def scores(x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = net()(x)
        return found

    found = evaluate(scores, DATA, THREAT, "pgd")
    assert found.case == "scores"
    assert found.rows[0].robust_accuracy == evaluate(net(), DATA, THREAT, "pgd").rows[0].robust_accuracy


def test_a_defense_brings_its_data_and_its_threat_model() -> None:
    found = evaluate("kwta:mnist", attacks="fgm", limit=10)
    assert (found.case, found.preset, found.samples, found.threat) == ("kwta", "mnist", 10, "linf:0.2")
    digits = load("data:mnist")().load("shipped", 10)
    assert evaluate("kwta:mnist", digits, attacks="fgm").rows[0].robust_accuracy == found.rows[0].robust_accuracy


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((), {}, "data is missing"),
        ((DATA,), {}, "threat is missing"),
        ((3, THREAT), {}, "data: "),
        (((CASE.inputs, CASE.labels[:3]), THREAT), {}, "x has 20 samples, y has 3 labels"),
        ((DATA, 0.3), {}, "give text such as 'linf:8/255'"),
        ((DATA, "linf"), {}, "write norm:epsilon"),
        (((255 * CASE.inputs, CASE.labels), THREAT), {}, "give their range as bounds=0,255, or divide by 255"),
        ((DATA, THREAT, []), {}, "attacks is empty"),
        ((DATA, THREAT, 7), {}, "attacks has 7"),
        ((DATA, THREAT, "pgd"), {"losses": "margn"}, "did you mean margin"),
        ((DATA, THREAT, "pgd"), {"losses": 3}, "losses has 3"),
        ((DATA, THREAT, "standard"), {"losses": Margin()}, "leave losses out"),
        ((DATA, THREAT, "pgd"), {"gradients": "bpda"}, "gradients bpda: Sequential has no method surrogate"),
        ((DATA, THREAT, "pgd"), {"gradients": [Exact(), 3]}, "gradients has 3"),
        ((DATA, "l2:min", "standard"), {}, "standard needs a budget"),
        ((DATA, THREAT, "pgd"), {"limit": -1}, "limit is -1"),
        ((DATA, THREAT, "pgd"), {"sweep": 1}, "sweep is 1"),
        ((DATA, THREAT, ("pgd", {"stps": 1})), {}, "did you mean steps"),
        ((DATA, ThreatModel("linf", 0.1)), {"bounds": (0, 1)}, "leave bounds out"),
        ((DATA, THREAT, "pgd"), {"tracker": 3}, "tracker is 3"),
        ((DATA, THREAT, "pgd"), {"tracker": "csv"}, "write csv:FILE"),
    ],
)
def test_bad_input_is_refused_in_words_of_python(arguments: Any, options: dict[str, Any], message: str) -> None:
    message = message if "\\" in message else message.replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(InvalidInput, match=message) as refused:
        evaluate(net(), *arguments, **options)
    assert "--" not in str(refused.value)


def test_names_that_are_not_there_are_said() -> None:
    with pytest.raises(UnknownPlugin, match="did you mean attack:square"):
        evaluate(net(), DATA, THREAT, "sqare")
    with pytest.raises(InvalidInput, match="no module nowhere"):
        evaluate("nowhere:net", DATA, THREAT)
    with pytest.raises(UnknownPlugin, match="advplug-tracker-nothing"):
        evaluate(net(), DATA, THREAT, "pgd", tracker="nothing:here")


def test_a_job_says_all_by_itself() -> None:
    named = evaluate(net(), DATA, THREAT, "pgd")
    recipe = Recipe(name="pgd", attack=PGD(), role=named.rows[0].role)  # type: ignore[arg-type]
    job = model_job("net", net(), Images(*DATA), ThreatModel("linf", 0.05), [recipe])
    same_rows(evaluate(job), named)
    with pytest.raises(InvalidInput, match="threat, limit beside a job"):
        evaluate(job, threat=THREAT, limit=3)


def test_progress_is_shown_to_whoever_looks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    advplug.evaluate(net(), DATA, THREAT, "fgm")
    assert capsys.readouterr().err == ""
    advplug.evaluate(net(), DATA, THREAT, "fgm", progress=True)
    assert "fgm: 20 samples ... done" in capsys.readouterr().err
    monkeypatch.setitem(__import__("sys").modules, "ipykernel", np)  # as in a notebook
    advplug.evaluate(net(), DATA, THREAT, "fgm")
    assert "fgm: 20 samples ... done" in capsys.readouterr().err


def test_a_tracker_hears_of_each_step_and_changes_no_bit(tmp_path: Path) -> None:
    alone = evaluate(net(), DATA, THREAT, [("pgd", {"steps": 4}), ("square", {"queries": 100})])
    path = tmp_path / "steps.csv"
    same_rows(
        evaluate(net(), DATA, THREAT, [("pgd", {"steps": 4}), ("square", {"queries": 100})], tracker=f"csv:{path}"),
        alone,
    )
    with path.open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    pgd = [line for line in lines if line["attack"] == "pgd"]
    assert [line["evaluation"] for line in pgd] == ["0", "1", "2", "3", "4"]
    assert float(pgd[-2]["loss"]) < float(pgd[0]["loss"])
    assert all(float(line["gradient_norm"]) > 0 for line in pgd[:-1])
    assert pgd[-1]["gradient_norm"] == ""
    square = [line for line in lines if line["attack"] == "square"]
    assert len(square) > 10
    assert all(line["gradient_norm"] == "" and float(line["distance"]) <= 0.05001 for line in square)


class Fails(Tracker):
    """Hears one step, and no more."""

    def __init__(self, target: str = "") -> None:
        self.heard = 0

    def step(self, step: Step) -> None:
        self.heard += 1
        raise OSError("No space left on device")


class BringsFails:
    @hookimpl
    def advplug_trackers(self) -> list[TrackerSpec]:
        factory = f"{Fails.__module__}:Fails"
        return [TrackerSpec(name="fails", factory=factory, summary="fails", reference="Made for tests")]


def test_a_named_tracker_that_fails_costs_its_steps_and_an_own_one_is_the_callers() -> None:
    recipes = [Recipe(name="p", attack=PGD())]
    job = model_job("net", net(), Images(*DATA), ThreatModel("linf", 0.05), recipes)
    with pytest.warns(UserWarning, match="fails:here failed .* goes on without it"):
        found = evaluate(job, tracker="fails:here", manager=Manager(plugins=[BringsFails()]))
    assert len(found.rows) == 1
    own = Fails()
    with pytest.raises(OSError, match="No space left"):
        evaluate(job, tracker=own)
    assert own.heard == 1


def test_a_page_that_cannot_be_written_costs_the_page_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("advplug.report.page.write_report", full)
    with pytest.warns(UserWarning, match=r"report\.html was not written \(No space left"):
        assert evaluate(net(), DATA, THREAT, "fgm", run_dir=tmp_path / "run").samples == 20


def test_two_workers_give_the_same_bits_and_no_steps(files: Path) -> None:
    alone = evaluate("newcomer:net", "data.npz", THREAT, "fgm")
    same_rows(evaluate("newcomer:net", "data.npz", THREAT, "fgm", workers=2), alone)
    same_rows(evaluate(net(), DATA, THREAT, "fgm", workers=2), alone)
    with pytest.raises(InvalidInput, match="leave workers and executor out"):
        evaluate(net(), DATA, THREAT, "fgm", workers=2, tracker="csv:steps.csv")
    with pytest.raises(InvalidInput, match="workers no"):
        evaluate(net(), DATA, THREAT, "fgm", workers="no")


def test_the_command_line_tracks_too(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = "evaluate newcomer:net --data data.npz --threat linf:0.05 --attacks fgm --no-report --fresh --out run"
    assert run([*command.split(), "--track", "csv:steps.csv"]) == 0
    assert (files / "steps.csv").read_text(encoding="utf-8").count("fgm,") == 2
    assert run([*command.split(), "--track", "csv:nowhere/steps.csv"]) == 2
    assert "name another file" in capsys.readouterr().err
    assert run([*command.split(), "--track", "tensorbord:x"]) == 4
    assert run([*command.split(), "--track", "csv:steps.csv", "--workers", "2"]) == 2
    assert "in this process alone" in capsys.readouterr().err


def test_numbers_of_numpy_are_numbers() -> None:
    model, x = linear_case(20).model, linear_case(20).inputs
    data = x, model(x).argmax(1)

    def figures(kind: Any, bounds: Any) -> list[float]:
        numbers = {"restarts": 2, "limit": 10, "seed": 3, "batch_size": 7, "draws": 8}
        given = {name: kind(number) for name, number in numbers.items()}
        found = advplug.evaluate(model, data, "linf:0.1", "fgm", progress=False, bounds=bounds, **given)
        return [found.samples, found.rows[0].robust_accuracy]

    assert figures(np.int64, np.array([0, 1.0])) == figures(int, (0, 1))
