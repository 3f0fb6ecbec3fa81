"""The other forms of a report: Markdown, CSV, a leaderboard's entry, and the command that prints them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import made_evaluations
import numpy as np
import pytest

from advplug import cli
from advplug.evaluation import Evaluation
from advplug.evaluation.storage.run_directory import RunDirectory
from advplug.plugins.manager import Manager, using
from advplug.records.finding import Finding
from advplug.report.card import card
from advplug.report.csv_tables import attacks_csv, samples_csv
from advplug.report.markdown import whole_report
from advplug.report.reproduce import digest, facts


@pytest.fixture(autouse=True)
def no_plugins() -> Iterator[None]:
    with using(Manager(plugins=[])):
        yield


@pytest.fixture
def made(tmp_path: Path) -> Evaluation:
    evaluation = made_evaluations.evaluation(tmp_path)
    return replace(evaluation, environment={**evaluation.environment, "command": "advplug break 'toy'"})


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_line_for_each_attack(made: Evaluation) -> None:
    clean, weak, strong, whole = table(attacks_csv(made))
    assert (clean["attack"], clean["robust_accuracy"]) == ("no attack", "1.0")
    assert (weak["role"], weak["library"], weak["robust_accuracy"]) == ("baseline", "foolbox", "0.75")
    assert (strong["accuracy_at_0.1"], strong["accuracy_at_0.3"], weak["accuracy_at_0.1"]) == ("0.5", "0.0", "")
    assert float(weak["low"]) < 0.75 < float(weak["high"])
    assert (whole["role"], whole["robust_accuracy"]) == ("all", "0.5")


def test_a_line_for_each_sample_and_attack(made: Evaluation) -> None:
    found = table(samples_csv(made))
    assert len(found) == 24
    assert found[0] == {
        "sample": "0", "label": "0", "attack": "weak", "correct": "", "success": "1", "distance": "0.3",
        "predicted": "1", "target": "1", "restart": "", "forwards": "1", "backwards": "", "detected": "",
    }  # fmt: skip
    assert (found[23]["sample"], found[23]["attack"], found[23]["success"], found[23]["distance"]) == (
        "11", "strong", "0", "",
    )  # fmt: skip


def test_text_cannot_leave_its_cell(made: Evaluation) -> None:
    odd = replace(made.rows[0], name='a,"b"\nc|d')
    renamed = replace(made, rows=(odd, made.rows[1]))
    assert table(attacks_csv(renamed))[1]["attack"] == 'a,"b"\nc|d'
    cells = [line for line in whole_report(renamed).splitlines() if "foolbox" in line and line.startswith("|")]
    assert cells
    assert 'a,"b" c\\|d' in cells[0]


def test_an_entry_of_a_leaderboard(made: Evaluation) -> None:
    found = card(replace(made, threat=f"linf:{8 / 255}"))
    assert set(found) - {"advplug"} == {
        "link", "name", "authors", "additional_data", "number_forward_passes", "dataset", "venue", "architecture",
        "eps", "clean_acc", "reported", "autoattack_acc", "external", "footnote", "unreliable",
    }  # fmt: skip
    assert (found["eps"], found["clean_acc"], found["external"]) == ("8/255", "100.00", "50.00")
    assert found["venue"] == found["autoattack_acc"] == found["link"] == ""
    assert found["unreliable"] is None
    assert found["advplug"]["threat"] == "Linf"
    assert [attack["robust_acc"] for attack in found["advplug"]["attacks"]] == ["75.00", "0.00"]
    assert card(replace(made, threat="l2:0.5"))["eps"] == "0.5"
    assert card(replace(made, threat="l2:min"))["eps"] == ""
    data = {"plugins": {"data:mnist": {"distribution": "d", "version": "1"}}}
    assert card(replace(made, environment=data))["dataset"] == "mnist"


@pytest.mark.parametrize(("status", "unreliable"), [("pass", False), ("fail", True), ("not-run", None)])
def test_what_a_leaderboard_would_doubt(made: Evaluation, status: str, unreliable: bool | None) -> None:
    found = Finding(name="a", id="G8", status=status, message="m")  # type: ignore[arg-type]
    assert card(replace(made, findings=(found,)))["unreliable"] is unreliable


def test_how_to_reproduce(made: Evaluation) -> None:
    found = dict(facts(made))
    assert next(iter(found.items())) == ("command", "advplug break 'toy'")
    assert found["seed"] == "7"
    assert found["inputs and labels (sha256)"] == digest(made.inputs, made.labels)
    changed = made.inputs.copy()
    changed[3, 0, 2, 2] += 1e-6
    assert digest(changed, made.labels) != digest(made.inputs, made.labels)
    assert digest(made.inputs.astype(np.float64)) != digest(made.inputs)


def test_markdown_says_what_the_page_says(made: Evaluation) -> None:
    text = whole_report(made)
    for words in ("# toy (preset mnist)", "is broken", "## Diagnostics", "G14", "## Checklist", "## How to reproduce"):
        assert words in text
    assert "advplug break 'toy'" in text


@pytest.fixture
def run(made: Evaluation, tmp_path: Path) -> Path:
    directory = RunDirectory(tmp_path / "run")
    keys = [f"{number:016x}" for number in range(2)]
    for key, row in zip(keys, made.rows, strict=True):
        directory.save_row(key, row)
    directory.save(made, keys)
    return tmp_path / "run"


def test_the_command_prints_each_form(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def printed(form: str) -> str:
        assert cli.run(["report", str(run), "--format", form]) == 0
        return capsys.readouterr().out

    evaluation = RunDirectory(run).load()
    writers: dict[str, Callable[[Evaluation], str]] = {"csv": attacks_csv, "samples-csv": samples_csv}
    for form, write in writers.items():
        assert printed(form) == write(evaluation)
    assert printed("md") == whole_report(evaluation) + "\n"
    assert json.loads(printed("card")) == json.loads(json.dumps(card(evaluation)))
    assert json.loads(printed("json"))["case"] == "toy"
    assert printed("html").strip() == str(run / "report.html")
    assert cli.run(["report", str(run), "--format", "pdf"]) == 2
