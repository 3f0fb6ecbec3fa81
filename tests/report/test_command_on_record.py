"""What was typed, when and on what stands in the record of a run and in its report."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import torch
from torch import nn

from advplug import evaluate, load
from advplug.cli import run
from advplug.evaluation.environment import weights_digest
from advplug.evaluation.storage.run_directory import RunDirectory
from advplug.report.comparison import compare
from advplug.report.reproduce import facts


def test_what_was_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["evaluate", "adversarial-training:mnist", "--attacks", "fgm", "--limit", "3", "--no-report", "--out"]
    assert run([*words, "a folder"]) == 0
    evaluation = RunDirectory(tmp_path / "a folder").load()
    typed = f"advplug {' '.join(words)} 'a folder'"
    assert evaluation.environment["command"] == typed
    assert ("command", typed) in facts(evaluation)
    assert "data:mnist" in evaluation.environment["plugins"]


def test_when_and_on_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    network = load("defense:adversarial-training")().build("mnist")
    made = evaluate(network, "mnist:shipped", "linf:0.1", "fgm", limit=3, batch_size=2)
    told = dict(facts(made))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", told["date"])
    assert told["data"] == "mnist-shipped"
    assert told["batch size"] == "2"
    assert told["weights (sha256)"] == weights_digest(network)
    assert "git revision" not in told
    assert len(told["inputs and labels (sha256)"]) == 16
    same = evaluate(network, "mnist:shipped", "linf:0.1", "fgm", limit=3, batch_size=2)
    assert compare({"one": made, "two": same}).differences == ()


def test_the_commit_of_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    own = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    script = tmp_path / "train.py"
    script.write_text("one")
    for words in (("init", "-q"), ("add", "."), (*own, "commit", "-qm", "first")):
        subprocess.run(("git", *words), check=True)
    network = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    data = (torch.rand(4, 2), torch.tensor([0, 1, 0, 1]))
    clean = evaluate(network, data, "linf:0.1", "fgm").environment["git revision"]
    assert re.fullmatch(r"[0-9a-f]{12}", clean)
    script.write_text("two")
    assert evaluate(network, data, "linf:0.1", "fgm").environment["git revision"] == f"{clean}, changed"


def test_other_weights_have_another_hash() -> None:
    norm = nn.BatchNorm1d(2)
    first = nn.Sequential(nn.Linear(2, 2), norm)
    before = weights_digest(first)
    assert before == weights_digest(first)
    norm.running_mean = torch.ones(2)  # a buffer, and no parameter
    assert weights_digest(first) != before
    assert weights_digest(first.half()) != weights_digest(first.float())
    assert weights_digest(nn.ReLU()) == ""
