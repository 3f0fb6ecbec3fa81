"""Fresh environments into which wheels of this checkout are installed, as a user would install them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
WHEELHOUSE = run_path(str(ROOT / "tools" / "wheelhouse.py"))
UV_SETTINGS = run_path(str(ROOT / "tools" / "uv_settings.py"))
MINE = ("ADVPLUG_", "PYTHON", "VIRTUAL_ENV", "UV_CONSTRAINT")
"""Variables of the developer that would reach into the new environment."""


class Environment:
    """A new virtual environment under ``folder``; commands run in a directory beside it, not in the checkout."""

    def __init__(self, folder: Path, wheels: Path) -> None:
        self.python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(MINE)}
        UV_SETTINGS["fill"](kept)
        links = ",".join(filter(None, (str(wheels), kept.get("UV_FIND_LINKS", ""))))
        # The constraint pins torch alone, as a user without a GPU does.
        pins = str(ROOT / "requirements" / "build.txt")
        self.variables = {**kept, "UV_FIND_LINKS": links, "UV_CONSTRAINT": pins, "OMP_NUM_THREADS": "1"}
        self._uv("venv", "--python", sys.executable, str(folder / "venv"))

    def install(self, *requirements: str) -> None:
        self._uv("pip", "install", "--python", str(self.python), *requirements)

    def distributions(self) -> set[str]:
        """The names of everything that is installed."""
        listing = self._uv("pip", "list", "--python", str(self.python), "--format", "json")
        return {item["name"] for item in json.loads(listing)}

    def advplug(self, *arguments: str) -> str:
        """What the command printed on stdout; it must succeed."""
        return self._run(str(self.python.with_name("advplug")), *arguments)

    def json(self, *arguments: str) -> Any:
        return json.loads(self.advplug(*arguments, "--json"))

    def _uv(self, *arguments: str) -> str:
        return self._run(WHEELHOUSE["uv"](), *arguments)

    def _run(self, *command: str) -> str:
        done = subprocess.run(
            command, cwd=self.home, env=self.variables, capture_output=True, text=True, encoding="utf-8", check=False
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one wheel of the core and of every plugin."""
    folder = tmp_path_factory.mktemp("wheels")
    WHEELHOUSE["build"](ROOT, folder)
    return folder


@pytest.fixture
def install(wheels: Path, tmp_path: Path) -> Callable[..., Environment]:
    """``install("advplug[all]")`` gives a new environment with that and nothing else."""

    def install(*requirements: str) -> Environment:
        environment = Environment(tmp_path, wheels)
        environment.install(*requirements)
        return environment

    return install
