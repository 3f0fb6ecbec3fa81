"""Several models and threat models in one command: a run for each pair, and one table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from advplug import Evaluation
from advplug.cli import run

SETTINGS = """
model = ["adversarial-training:mnist", "adversarial-training:mnist-linf"]
threat = ["linf:0.1", "l2:1"]
attacks = ["fgm"]
limit = 5
report = false
"""
MODELS = ("adversarial-training:mnist", "adversarial-training:mnist-linf")
WORDS = ["evaluate", "--attacks", "fgm", "--limit", "5", "--no-report"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")  # several test processes at once have it at 80
    return tmp_path


def test_a_file_with_several_gives_one_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "several.toml").write_text(SETTINGS, encoding="utf-8")
    assert run(["evaluate", "--config", "several.toml", "--out", "all"]) == 0
    table = capsys.readouterr().out.split("model  ")[-1].splitlines()
    lines = [line for line in table if line.startswith("adversarial-training")]
    assert len(lines) == 4
    assert [("linf:0.1" in line, "l2:1" in line) for line in lines] == [(True, False), (False, True)] * 2
    runs = [Evaluation.load(path) for path in sorted((folder / "all").iterdir())]
    assert sorted((found.preset, found.threat) for found in runs) == [
        ("mnist", "l2:1"), ("mnist", "linf:0.1"), ("mnist-linf", "l2:1"), ("mnist-linf", "linf:0.1"),
    ]  # fmt: skip
    for found in runs:
        (line,) = [
            line
            for line in lines
            if f"(preset {found.preset})" in line and line.split(")")[1].split()[0] == found.threat
        ]
        assert f"{100 * found.robust_accuracy:.1f} %" in line


def test_the_command_line_does_the_same_as_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*WORDS, *MODELS, "--threat", "linf:0.1,l2:1", "--out", "all", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["evaluations"]
    assert [(one["preset"], one["threat"]) for one in found] == [
        ("mnist", "linf:0.1"), ("mnist", "l2:1"), ("mnist-linf", "linf:0.1"), ("mnist-linf", "l2:1"),
    ]  # fmt: skip
    assert all(len(one["rows"]) == 1 for one in found)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([*MODELS, "--sarif", "a.sarif"], "--sarif is for a single run"),
        ([*MODELS, "--shard", "1/2"], "--shard is for a single run"),
        ([MODELS[0], MODELS[0]], "two runs would be written as adversarial-training-mnist"),
        ([MODELS[0], "kwta:absent"], "absent"),
        ([*MODELS, "--threat", "linf:0.1,l7:1"], "l7"),
    ],
)
def test_what_cannot_run_is_refused_before_the_first_run(
    words: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*WORDS, *words]) == 2
    assert message in capsys.readouterr().err
    assert list(folder.iterdir()) == []
