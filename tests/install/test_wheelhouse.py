"""Wheels that were built again are the ones that get installed, though their version is the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from runpy import run_path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WHEELHOUSE = run_path(str(ROOT / "tools" / "wheelhouse.py"))
PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "0.1.0"
"""

pytestmark = pytest.mark.install


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A core and one plugin; uv has a cache of its own here."""
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    root = tmp_path / "checkout"
    plugin = root / "plugins" / "attacks" / "advplug-attack-toy"
    for folder, module in ((root, root / "advplug"), (plugin, plugin / "src" / "advplug_attack_toy")):
        module.mkdir(parents=True)
        (module / "__init__.py").write_text("answer = 'old'\n")
        name = module.name.replace("_", "-")
        packages = f"\n[tool.hatch.build.targets.wheel]\npackages = ['{module.relative_to(folder).as_posix()}']\n"
        (folder / "pyproject.toml").write_text(PROJECT.format(name=name) + packages)
    return root


def answer(wheels: Path, folder: Path) -> str:
    """What the plugin says in a new environment."""
    uv = WHEELHOUSE["uv"]()
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(folder)], check=True)
    install = [uv, "pip", "install", "-q", "--python", str(python), "--no-index", "--find-links", str(wheels)]
    subprocess.run([*install, "advplug-attack-toy"], check=True)
    code = "import advplug_attack_toy; print(advplug_attack_toy.answer)"
    return subprocess.run([str(python), "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_a_new_build_replaces_the_old_one(checkout: Path, tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    assert WHEELHOUSE["build"](checkout, wheels) == ["advplug", "advplug-attack-toy"]
    assert answer(wheels, tmp_path / "first") == "old"
    source = next(checkout.glob("plugins/*/*/src/*/__init__.py"))
    source.write_text("answer = 'new'\n")
    WHEELHOUSE["build"](checkout, wheels)
    assert answer(wheels, tmp_path / "second") == "new"


def test_wheels_older_than_a_source_are_stale(checkout: Path, tmp_path: Path) -> None:
    wheels, stale = tmp_path / "wheels", WHEELHOUSE["stale"]
    assert stale(checkout, wheels) == wheels
    WHEELHOUSE["build"](checkout, wheels)
    assert stale(checkout, wheels) is None
    source = next(checkout.glob("plugins/*/*/src/*/__init__.py"))
    later = max(wheel.stat().st_mtime for wheel in wheels.glob("*.whl")) + 1
    os.utime(source, (later, later))
    assert stale(checkout, wheels) == source


def test_a_build_that_fails_says_so(checkout: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (checkout / "pyproject.toml").write_text("[project]\nname = 'advplug'\n")
    with pytest.raises(subprocess.CalledProcessError):
        WHEELHOUSE["build"](checkout, tmp_path / "wheels")
    assert "version" in capfd.readouterr().err
