"""The table of docs/attack-support.md is what runs show."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import attack_table  # noqa: E402

LINES = attack_table.written(attack_table.TARGET.read_text(encoding="utf-8")).splitlines(keepends=True)[2:]


def test_every_attack_has_a_line() -> None:
    assert [line.split("`")[1] for line in LINES] == attack_table.names()


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.split("`")[1])
def test_a_line_is_what_runs_show(line: str) -> None:
    name = line.split("`")[1]
    assert attack_table.row(name) == line
