"""Fifty installed plugins, ten of them broken: the other forty work. benchmarks/listing.py times the same."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest

Advplug = Callable[..., Any]  # see conftest.py, which test files cannot import
BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "listing.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All fifty, put there by pip."""
    pytest.importorskip("pip", reason="this environment was made without pip")
    wheels, target = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("fifty")
    files = [str(distribution.wheel(wheels)) for distribution in run_path(str(BENCHMARK))["fifty"]()]
    options = ("--quiet", "--no-deps", "--no-index", "--no-compile", "--disable-pip-version-check")
    command = (sys.executable, "-m", "pip", "install", *options, "--target", str(target), *files)
    subprocess.run(command, check=True)
    return target


def test_forty_are_listed_and_nothing_heavy_is_imported(advplug: Advplug, folder: Path) -> None:
    without = advplug(None, "list")
    answer = advplug(folder, "list")
    assert answer.code == 0
    assert answer.keys - without.keys == {f"attack:number-{n}" for n in range(50) if n % 5}
    assert without.keys <= answer.keys
    (line,) = answer.stderr.splitlines()
    assert all((f"advplug-attack-number-{n}" in line.replace(",", "").split()) == (n % 5 == 0) for n in range(50))
    assert answer.heavy == []


def test_doctor_loads_the_forty_and_has_ten_problems(advplug: Advplug, folder: Path) -> None:
    answer = advplug(folder, "doctor", "--json", ADVPLUG_PLUGINS="advplug-attack-number-*")
    assert answer.code == 1
    problems = answer.document["problems"]
    assert {one["distribution"] for one in problems} == {f"advplug-attack-number-{n}" for n in range(0, 50, 5)}
    assert len(problems) == 10
    assert {one["stage"] for one in problems} == {"import", "register", "hooks", "advplug_attacks"}
