"""What ``advplug new`` writes is built, installed and used untouched, as its author would."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from zipfile import ZipFile

import pytest
from made_case import write_data, write_search

from advplug.scaffold import TEMPLATES

pytest.importorskip("pip", reason="wheels are built and installed with pip")
pytest.importorskip("hatchling", reason="and built without isolation, by the hatchling that is here")

ROOT = Path(__file__).resolve().parents[2]
OF_ONE_PART = ("attack", "data", "loss", "gradient", "criterion")
CALLS = [*((kind, "mine") for kind in OF_ONE_PART), ("case", "mine"), ("adaptive", "again", "--breaks", "kwta")]
FOUND = ("data:found", "defense:found", "adaptive:found")
"""Made of a search on a model and on data of a user's own."""
PLUGINS = (*(f"{kind}:mine" for kind in OF_ONE_PART), "defense:mine", "adaptive:mine", "adaptive:again", *FOUND)
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


class Workplace:
    """A folder with the new distributions, and beside it a folder that they are installed in."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.site = folder, folder / "site"
        # The plugins of this environment stay visible: the new ones build on some of them.
        paths = [str(self.site), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """``python -m ARGUMENTS`` in the folder."""
        program = [sys.executable, "-m", *arguments]
        return subprocess.run(
            program, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )

    def advplug(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The command line, in a process of its own."""
        program = "import sys; from advplug.cli import main; main(sys.argv[1:])"
        command = [sys.executable, "-c", program, *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )

    def distribution(self, plugin: str) -> Path:
        """The folder that was written for ``kind:name``."""
        return self.folder / f"advplug-{plugin.replace(':', '-')}"


def succeeded(done: subprocess.CompletedProcess[str]) -> str:
    """The standard output of a process that must have gone well."""
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    place = Workplace(tmp_path_factory.mktemp("new"))
    for call in CALLS:
        succeeded(place.advplug("new", *call))
    search = write_search(place.folder, model="mine:two", data=str(write_data(place.folder / "own.npz")))
    succeeded(place.advplug("new", "case", "found", "--from", str(search)))
    (place.folder / "mine.py").unlink()
    folders = [str(place.distribution(plugin)) for plugin in PLUGINS]
    succeeded(place.run("pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", "wheels", *folders))
    wheels = sorted(str(path) for path in (place.folder / "wheels").glob("*.whl"))
    assert len(wheels) == len(PLUGINS)
    succeeded(place.run("pip", "install", "-q", "--no-deps", "--no-index", "--target", str(place.site), *wheels))
    return place


def test_list_shows_them_and_doctor_finds_nothing(workplace: Workplace) -> None:
    listed = json.loads(succeeded(workplace.advplug("list", "--json")))["plugins"]
    assert {plugin["key"] for plugin in listed} >= set(PLUGINS)
    succeeded(workplace.advplug("doctor"))


@pytest.mark.parametrize("plugin", PLUGINS)
def test_they_pass_what_their_tox_file_runs(plugin: str, workplace: Workplace) -> None:
    """The commands alone: tox would make an environment, and needs a package index for it."""
    settings = ConfigParser(interpolation=None)
    settings.read(workplace.distribution(plugin) / "tox.ini", encoding="utf-8")
    doctor, check, tests = settings["testenv"]["commands"].strip().splitlines()
    assert (doctor, tests) == ("advplug doctor", "pytest {posargs:tests}")
    succeeded(workplace.advplug(*shlex.split(check)[1:]))
    folder = str(workplace.distribution(plugin) / "tests")
    printed = succeeded(workplace.run("pytest", "-q", "-p", "no:cacheprovider", folder))
    assert re.search(r"\b[1-9]\d* passed", printed)
    assert not re.search(r"xfailed|xpassed|no tests ran", printed)


@pytest.mark.parametrize("plugin", PLUGINS)
def test_the_code_of_the_readme_runs(plugin: str, workplace: Workplace) -> None:
    (code,) = BLOCK.findall((workplace.distribution(plugin) / "README.md").read_text(encoding="utf-8"))
    program = workplace.folder / f"readme_{plugin.replace(':', '_')}.py"
    program.write_text(code, encoding="utf-8")
    command = [sys.executable, str(program)]
    done = subprocess.run(
        command, cwd=workplace.folder, env=workplace.environment, capture_output=True, text=True, check=False
    )
    assert succeeded(done).strip()


def test_the_new_case_is_broken_and_takes_the_new_attack(workplace: Workplace) -> None:
    arguments = ("break", "mine", "--attack", "mine", "--limit", "30", "--no-report", "--json")
    answer = json.loads(succeeded(workplace.advplug(*arguments)))
    left = {row["name"]: row["robust_accuracy"] for row in answer["rows"]}
    assert answer["broken"]
    assert left["PGD-40, margin, BPDA"] <= 0.1
    assert min(left["PGD, defaults"], left["mine"]) >= 0.9, "an attack that follows the true gradient sees none"


def test_the_core_ships_the_templates(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    succeeded(subprocess.run([*command, str(ROOT)], cwd=tmp_path, capture_output=True, text=True, check=False))
    (wheel,) = tmp_path.glob("advplug-*.whl")
    names = {name for name in ZipFile(wheel).namelist() if name.startswith("advplug/scaffold/")}
    here = {path.relative_to(ROOT).as_posix() for path in TEMPLATES.rglob("*") if path.is_file()}
    assert names == {name for name in here if "__pycache__" not in name}
    assert "advplug/scaffold/defense/mnist.safetensors" in names
