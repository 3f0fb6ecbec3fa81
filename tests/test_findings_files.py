"""Findings as SARIF and JUnit XML, and the exit code that goes with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from advplug.cli import run
from advplug.evaluation.diagnostics.findings_files import as_junit, as_sarif
from advplug.records import Evaluation, Finding
from advplug.testing.linear import linear_model

FINDINGS = (
    Finding(name="gradients", id="G1", status="pass", message="All is well."),
    Finding(
        name="noise", id="G8", status="fail", message="A <b> & c\x00.", advice="Change it.", figure=0.5, samples=(2,)
    ),
    Finding(name="binarisation", id="G14", status="not-run", message="Nobody looked."),
    Finding(name="own", status="warn", message="A plugin's."),
)
EVALUATION = Evaluation(
    case="toy", preset=None, threat="linf:0.1", samples=4, clean_accuracy=1.0, clean_error_rate=None,
    false_positives=None, rows=(), findings=FINDINGS,
)  # fmt: skip


def test_sarif_has_what_its_schema_requires() -> None:
    document = json.loads(as_sarif(EVALUATION))
    assert document["version"] == "2.1.0"
    (run,) = document["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "advplug"
    rules = [rule["id"] for rule in driver["rules"]]
    assert len(set(rules)) == len(rules) == 4
    for result, finding in zip(run["results"], FINDINGS, strict=True):
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert finding.message in result["message"]["text"]
        assert result["level"] in ("none", "note", "warning", "error")
        assert result["kind"] in ("pass", "open", "informational", "notApplicable", "review", "fail")
        # the schema: a level other than none belongs to the kind fail
        assert (result["kind"] == "fail") == (result["level"] != "none")
        assert result["locations"][0]["logicalLocations"][0]["name"] == "toy"
    assert [result["level"] for result in run["results"]] == ["none", "error", "none", "warning"]


def test_sarif_is_json_also_where_a_figure_is_no_number() -> None:
    odd = Finding(name="own", status="warn", message="A plugin's.", figure=float("nan"), threshold=float("inf"))
    text = as_sarif(replace(EVALUATION, findings=(odd,)))
    properties = json.loads(text, parse_constant=pytest.fail)["runs"][0]["results"][0]["properties"]
    assert properties["figure"] is properties["threshold"] is None


def test_junit_parses_and_counts() -> None:
    (suite,) = ElementTree.fromstring(as_junit(EVALUATION))
    assert suite.attrib | {"name": ""} == {"name": "", "tests": "4", "failures": "2", "errors": "0", "skipped": "1"}
    failures = [case.attrib["name"] for case in suite if case.find("failure") is not None]
    assert failures == ["noise", "own"]
    told = suite[1].find("failure")
    assert told is not None
    assert told.attrib == {"type": "fail", "message": "A <b> & c. Change it."}


def test_findings_that_end_a_line_are_kept_on_one() -> None:
    text = as_junit(replace(EVALUATION, case="a\x1bb", findings=()))
    assert ElementTree.fromstring(text)[0].attrib["name"] == "advplug ab"


MODEL = """
import torch
from advplug.testing.linear import linear_model

def net():
    return torch.nn.Sequential(Rounded(), linear_model(3, (10,)).float()).eval()

class Rounded(torch.nn.Module):
    def forward(self, x):
        return (x * 4).round() / 4
"""


Command = Callable[..., tuple[int, str]]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs ``advplug evaluate`` on a model behind rounding; gives the exit code and all that was printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "rounded_net.py").write_text(MODEL, encoding="utf-8")
    x = torch.rand(20, 10, generator=torch.Generator().manual_seed(0))
    labels = linear_model(3, (10,)).float()((x * 4).round() / 4).argmax(1)
    np.savez(tmp_path / "own.npz", x=x.numpy(), y=labels.numpy())

    def call(*options: str) -> tuple[int, str]:
        own = (
            "evaluate",
            "rounded_net:net",
            "--data",
            "own.npz",
            "--attacks",
            "pgd",
            "--threat",
            "linf:0.3",
            "--no-report",
        )
        code = run([*own, *options])
        streams = capsys.readouterr()
        return code, streams.out + streams.err

    return call


@pytest.mark.parametrize(("level", "code"), [("never", 0), ("fail", 1), ("warn", 1)])
def test_the_exit_code_says_what_was_asked_for(command: Command, level: str, code: int) -> None:
    found, text = command("--fail-on", level)
    assert found == code, text
    lines = [line for line in text.splitlines() if line.startswith("! --fail-on")]
    assert len(lines) == code
    assert all("G8 noise" in line for line in lines)
    assert all(("G1 unusable-gradients" in line) == (level == "warn") for line in lines)


def test_files_are_written_and_a_place_that_takes_none_is_told(command: Command, tmp_path: Path) -> None:
    code, text = command("--sarif", "out/found.sarif", "--junit", "found.xml", "--json")
    assert code == 0, text
    results = json.loads((tmp_path / "out" / "found.sarif").read_text(encoding="utf-8"))["runs"][0]["results"]
    cases = ElementTree.fromstring((tmp_path / "found.xml").read_text(encoding="utf-8"))[0]
    assert len(results) == len(cases) >= 14
    (tmp_path / "file").touch()
    code, text = command("--junit", "file/found.xml")
    assert code == 1
    assert "not written: file/found.xml" in text


def test_the_table_counts_what_passed_and_what_did_not_run(command: Command) -> None:
    text = " ".join(command()[1].split())
    assert "passed; not run: " in text
    assert "G14 binarisation" in text
    assert "fail: G8 noise: Random noise" in text
