"""The ``advplug`` command as a user starts it, with a folder of installed distributions on its path."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from advplug.testing.distributions import SmallDistribution, attack_source

HEAVY = ("torch", "numpy", "eagerpy", "foolbox", "art")

# The console script of the environment may belong to another Python than the one that runs the tests.
START = (
    "import sys; from advplug.cli import run; code = run(sys.argv[1:]);"
    f"print(*(name for name in {HEAVY!r} if name in sys.modules), file=open('heavy.txt', 'w')); sys.exit(code)"
)


@dataclass(frozen=True)
class Answer:
    """What one command left behind, in its working directory too."""

    code: int
    stdout: str
    stderr: str
    folder: Path

    @property
    def document(self) -> Any:
        return json.loads(self.stdout)

    @property
    def heavy(self) -> list[str]:
        """The big packages that it imported."""
        return (self.folder / "heavy.txt").read_text().split()

    @property
    def keys(self) -> set[str]:
        """What ``list`` printed, ``kind:name`` each."""
        return {line.split()[0] for line in self.stdout.splitlines()}


Advplug = Callable[..., Answer]
Install = Callable[..., Path]


@pytest.fixture(scope="session")
def advplug(tmp_path_factory: pytest.TempPathFactory) -> Advplug:
    """``advplug(folder, "list", ADVPLUG_DISABLE="x")``: a subprocess that finds the distributions in ``folder``."""

    def call(folder: Path | None, *arguments: str, **variables: str) -> Answer:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("ADVPLUG_")}
        environment = {**inherited, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", **variables}
        if folder is not None:
            environment["PYTHONPATH"] = str(folder)
        cwd = tmp_path_factory.mktemp("cwd")
        done = subprocess.run(
            [sys.executable, "-c", START, *arguments],
            capture_output=True, text=True, check=False, env=environment, cwd=cwd, timeout=300,
        )  # fmt: skip
        return Answer(done.returncode, done.stdout, done.stderr, cwd)

    return call


@pytest.fixture(scope="session")
def working(advplug: Advplug, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """What ``list`` shows where nothing is broken: the plugins of this environment and ``attack:good``."""
    answer = advplug(GOOD.install(tmp_path_factory.mktemp("working")), "list")
    assert (answer.code, answer.stderr) == (0, "")
    assert "attack:good" in answer.keys
    return answer.keys


@pytest.fixture
def site(tmp_path: Path) -> Install:
    """``site(a, b)``: a folder with these distributions, installed beside one that works."""

    def install(*distributions: SmallDistribution) -> Path:
        folder = tmp_path / "site"
        for distribution in (GOOD, *distributions):
            distribution.install(folder)
        return folder

    return install


GOOD = SmallDistribution(
    name="advplug-attack-good",
    modules={"advplug_attack_good.py": attack_source("good")},
    entry_points={"attack-good": "advplug_attack_good"},
)
