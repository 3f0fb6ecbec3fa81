"""What was typed stands in the record of a run, quoted for a shell, and in its report."""

from __future__ import annotations

from pathlib import Path

import pytest

from advplug.cli import run
from advplug.evaluation.storage.run_directory import RunDirectory
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
