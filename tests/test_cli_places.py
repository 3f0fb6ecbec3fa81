"""``advplug evaluate``: which files a run reads and writes, and that it spares those of the user."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from advplug.cli import run
from advplug.errors import InvalidInput
from advplug.evaluation import evaluate as evaluate_job
from advplug.evaluation import model_job
from advplug.evaluation.storage.run_directory import RunDirectory

MODULE = """
import os
import torch

os.makedirs("elsewhere", exist_ok=True)
os.chdir("elsewhere")

def light(x):
    light = x.flatten(1).mean(1) - 0.5
    return torch.stack((-light, light), 1)

class Light(torch.nn.Module):
    def __init__(self):
        super().__init__()
        assert os.path.basename(os.getcwd()) == "elsewhere"
    def forward(self, x):
        return light(x)
"""


class Answer(NamedTuple):
    code: int
    out: str
    err: str


Evaluate = Callable[..., Answer]


@pytest.fixture
def evaluate(folder: Any, capsys: pytest.CaptureFixture[str]) -> Evaluate:
    folder.write({"own_light": MODULE})
    x = np.linspace(0, 1, 8, dtype=np.float32).reshape(8, 1)
    np.savez("data.npz", inputs=x, labels=(x.ravel() > 0.5).astype(int))

    def call(*arguments: str, data: str = "data.npz") -> Answer:
        sys.modules.pop("own_light", None)  # as if each call were a process of its own
        own = ("--data", data, "--threat", "linf:0.25", "--attacks", "fgm")
        return Answer(run(["evaluate", "own_light:Light", *own, *arguments]), *capsys.readouterr())

    return call


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("more", [[], ["--fresh"]])
@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("", "'--out' is ''"),
        (" ", "'--out' is ' '"),
        ("a\0b", "'--out' is 'a\\x00b'"),
        (".", "--data inputs.npz: the run would replace that file"),
    ],
)
def test_a_run_spares_its_own_data(evaluate: Evaluate, tmp_path: Path, out: str, message: str, more: list[str]) -> None:
    (tmp_path / "data.npz").rename(tmp_path / "inputs.npz")
    (tmp_path / "report.html").write_text("mine")
    before = contents(tmp_path)
    answer = evaluate("--out", out, *more, data="inputs.npz")
    assert (answer.code, answer.out) == (2, "")
    (line,) = answer.err.splitlines()
    assert message in line
    assert contents(tmp_path) == before


@pytest.mark.parametrize("more", [[], ["--fresh"]])
@pytest.mark.parametrize("name", ["inputs.npz", "report.html", "evaluation.json"])
def test_a_run_spares_files_of_others(evaluate: Evaluate, tmp_path: Path, name: str, more: list[str]) -> None:
    for file in (name, "rows/mine.json", "rows/mine.npz", ".a.part.b"):
        (tmp_path / "own" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "own" / file).write_text('{"rows": 1}')
    before = contents(tmp_path)
    answer = evaluate("--out", "own", *more)
    assert (answer.code, answer.out) == (2, "")
    assert f"own holds a file {name} that no run of advplug left there" in answer.err
    assert contents(tmp_path) == before


def test_a_job_in_python_spares_them_too(tmp_path: Path) -> None:
    import torch

    from advplug import Recipe, load
    from advplug.data import Images
    from advplug.threat import ThreatModel

    (tmp_path / "inputs.npz").write_text("mine")
    model, x = torch.nn.Linear(2, 2), torch.rand(3, 2)
    recipe = Recipe(name="fgm", attack=load("attack:fgm")())
    images = Images(x, model(x).argmax(1))
    job = model_job("linear", model, images, ThreatModel("linf", 0.1), [recipe], run_dir=tmp_path)
    with pytest.raises(InvalidInput, match="no run of advplug left there"):
        evaluate_job(job)
    assert contents(tmp_path) == {str(tmp_path / "inputs.npz"): b"mine"}


def test_a_run_beside_files_of_others_leaves_them_alone(evaluate: Evaluate, tmp_path: Path) -> None:
    names = (".lock", ".notes.part.txt", "rows/.mine.part.npz", "behaviours/mine.npz")
    for name in names:
        (tmp_path / "own" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "own" / name).write_text("mine")
    for more in ([], ["--fresh"]):
        assert evaluate("--out", "own", *more).code == 0
        assert [(tmp_path / "own" / name).read_text() for name in names] == ["mine"] * 4


def test_fresh_deletes_what_a_run_wrote_and_nothing_else(evaluate: Evaluate, tmp_path: Path) -> None:
    assert evaluate("--out", "run").code == 0
    (tmp_path / "run" / "rows" / "mine.json").write_text("mine")
    RunDirectory(tmp_path / "run").forget()
    assert contents(tmp_path / "run") == {str(tmp_path / "run" / "rows" / "mine.json"): b"mine"}
    assert evaluate("--out", "run", "--fresh").code == 0
    assert (tmp_path / "run" / "rows" / "mine.json").read_text() == "mine"


def test_a_directory_with_rows_alone_is_a_run(evaluate: Evaluate, tmp_path: Path) -> None:
    assert evaluate("--out", "run").code == 0
    (tmp_path / "run" / "evaluation.json").write_text("damaged")
    answer = evaluate("--out", "run")
    assert (answer.code, answer.err) == (0, "1 of 1 attacks read from the run directory\n")


@pytest.mark.parametrize("out", [".", "run", "deeper/run"])
def test_a_run_directory_is_no_class_of_the_images(evaluate: Evaluate, tmp_path: Path, out: str) -> None:
    for name in ("dark", "light"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        Image.new("L", (2, 2), 200 * (name == "light")).save(tmp_path / "photos" / name / "a.png")
    before = contents(tmp_path)
    answer = evaluate("--out", f"photos/{out}", data="photos")
    assert (answer.code, answer.out) == (2, "")
    assert "would pass for a class in that folder" in answer.err
    assert contents(tmp_path) == before
    assert evaluate("--out", "beside", data="photos").code == 0


def test_a_module_that_goes_elsewhere_leaves_the_user_where_he_was(evaluate: Evaluate, tmp_path: Path) -> None:
    answer = evaluate("--out", "run", "--gradients", "bpda", "--surrogate", "own_light:light")
    assert answer.code == 0, answer.err
    assert Path.cwd() == tmp_path
    assert (tmp_path / "run" / "evaluation.json").is_file()
    assert not any((tmp_path / "elsewhere").iterdir())


def test_a_folder_of_the_name_is_not_the_defenses_own_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for label in "37":
        (tmp_path / "mnist" / label).mkdir(parents=True)
        Image.new("L", (28, 28), 9).save(tmp_path / "mnist" / label / "a.png")
    usual = ["evaluate", "kwta", "--limit", "2", "--attacks", "fgm", "--no-report", "--json", "--out", "run"]
    found = []
    for data in ([], ["--data", "data:mnist:shipped"], ["--data", "mnist"]):
        assert run([*usual, *data]) == 0
        document, err = capsys.readouterr()
        with np.load("run/inputs.npz") as archive:
            found.append(archive["labels"].tolist())
        assert json.loads(document)["samples"] == 2
        assert ("! mnist is the folder of that name here: data:mnist means the plugin\n" in err) == bool(
            data[1:] == ["mnist"]
        )
    assert found == [found[1], found[1], [3, 7]]
    assert found[0] != [3, 7]


@pytest.mark.parametrize(
    ("closed", "form", "code"),
    [
        (">&-", [], 1),
        (">&-", ["--json"], 1),
        ("2>&-", ["--json"], 0),
        (">&- 2>&-", ["--json"], 1),
        (">/dev/full", [], 1),
    ],
)
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_closed_streams_cost_no_result(
    evaluate: Evaluate, tmp_path: Path, closed: str, form: list[str], code: int
) -> None:
    command = [sys.executable, "-c", "from advplug.cli import main; main()", "evaluate", "own_light:Light"]
    own = ["--data", "data.npz", "--threat", "linf:0.25", "--attacks", "fgm", "--out", "run", *form]
    script = f'"$@" {closed}'
    done = subprocess.run(["sh", "-c", script, "sh", *command, *own], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert len(RunDirectory(tmp_path / "run").load().rows) == 1
    assert (tmp_path / "run" / "report.html").is_file()
    if form and code == 0:
        assert json.loads(done.stdout)["samples"] == 8
