"""What must hold over the whole repository: versions, names, licences, pins, sizes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from importlib import metadata
from importlib.util import module_from_spec, spec_from_file_location
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import advplug

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/*/pyproject.toml"))
FOLDERS = {"attack": "attacks", "defense": "defenses", "adaptive": "adaptive", "data": "data", "baseline": "baselines"}
SIBLING = re.compile(r"(advplug[a-z0-9-]*)(\[[^]]*\])?(.*)")
MACHINE_PATH = re.compile(r"(?<![\w.:/])/(?:work|root|home|Users|opt|mnt)/[\w.]")
LARGEST = 2_500_000


def project(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))


def tool(name: str) -> ModuleType:
    spec = spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tracked_files() -> list[Path]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listing.split("\0") if name and (ROOT / name).is_file()]


CORE = project(ROOT)
each_plugin = pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)


def test_package_and_metadata_have_one_version() -> None:
    assert CORE["project"]["version"] == advplug.__version__


@each_plugin
def test_plugins_agree_with_the_core(folder: Path) -> None:
    plugin = project(folder)
    for field in ("version", "license", "requires-python", "authors"):
        assert plugin["project"][field] == CORE["project"][field], field
    assert plugin["build-system"] == CORE["build-system"]
    assert plugin["project"]["readme"] == "README.md"


@each_plugin
def test_names_agree(folder: Path) -> None:
    plugin = project(folder)
    prefix, kind, name = folder.name.split("-", 2)
    assert prefix == "advplug"
    assert folder.parent.name == FOLDERS[kind]
    assert plugin["project"]["name"] == folder.name
    module = folder.name.replace("-", "_")
    assert plugin["project"]["entry-points"]["advplug"][f"{kind}-{name}"].partition(":")[0] == module
    assert (folder / "src" / module / "__init__.py").is_file()


@each_plugin
def test_plugins_have_readme_tests_and_types(folder: Path) -> None:
    assert (folder / "README.md").read_text(encoding="utf-8").strip()
    assert list(folder.glob("tests/test_*.py"))
    assert (folder / "src" / folder.name.replace("-", "_") / "py.typed").is_file()


@pytest.mark.parametrize("folder", [ROOT, *PLUGINS], ids=lambda folder: folder.name)
def test_siblings_are_pinned_to_the_minor_version(folder: Path) -> None:
    fields = project(folder)["project"]
    dependencies = [*fields["dependencies"], *chain(*fields.get("optional-dependencies", {}).values())]
    known = {"advplug", *(plugin.name for plugin in PLUGINS)}
    for dependency in dependencies:
        match = SIBLING.fullmatch(dependency)
        # The extras of the core name each other without a version.
        if match is None or (folder == ROOT and match[1] == "advplug"):
            continue
        assert match[3] == tool("bump").pin(CORE["project"]["version"]), dependency
        assert match[1] in known, f"{dependency}: no such plugin here"
    if folder != ROOT:
        assert any(re.match(r"advplug\[torch[],]", dependency) for dependency in dependencies)


def test_the_extra_all_lists_every_plugin() -> None:
    listed = {SIBLING.fullmatch(item)[1] for item in CORE["project"]["optional-dependencies"]["all"]}  # type: ignore[index]
    assert listed - {"advplug"} == {folder.name for folder in PLUGINS}


def test_requirements_are_fresh() -> None:
    text = (ROOT / "requirements" / "dev.txt").read_text(encoding="ascii")
    assert text == tool("requirements").render(ROOT), "run python tools/requirements.py"
    assert text.startswith("-e .[test,docs]\n")


def test_the_table_of_errors_is_fresh() -> None:
    def calls(text: str) -> list[str]:
        # The messages quote those of torch and safetensors, whose wording is theirs to change.
        return [line.split(" | ")[0] for line in text.splitlines()]

    text = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    assert calls(text) == calls(tool("errors").render()), "run python tools/errors.py"


def test_the_reference_of_hooks_is_fresh() -> None:
    assert (ROOT / "docs" / "hooks.md").read_text(encoding="utf-8") == tool("hooks").render(), "python tools/hooks.py"


def test_the_table_of_bridged_attacks_is_fresh() -> None:
    page, bridges = (ROOT / "docs" / "bridges.md").read_text(encoding="utf-8"), tool("bridges")
    assert page == bridges.render(), "run python tools/bridges.py"
    record = json.loads(bridges.RECORD.read_text(encoding="utf-8"))
    if all(metadata.version(library) == version for library, version in record["versions"].items()):
        assert set(record["attacks"]) == set(bridges.declared()), "run python tools/bridges.py --run NAMES"


def test_build_requirements_pin_the_torch_of_the_constraints() -> None:
    (pin,) = (line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("torch=="))
    assert pin in (ROOT / "requirements" / "build.txt").read_text().splitlines()


def test_no_file_is_large() -> None:
    large = [path.relative_to(ROOT).as_posix() for path in tracked_files() if path.stat().st_size > LARGEST]
    assert not large


def test_no_machine_paths() -> None:
    found = []
    for path in tracked_files():
        content = path.read_bytes()
        if b"\0" not in content:  # binary files are weights and images
            text = content.decode("utf-8")
            found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in MACHINE_PATH.finditer(text)]
    assert not found


def test_bump_edits_versions_and_pins_only(tmp_path: Path) -> None:
    core = 'version = "{v}"\nall = ["advplug[torch]", "advplug-attack-x{pin}"]\n'
    plugin = 'version = "{v}"\ndependencies = ["advplug[torch,art]{pin}", "torch>=2.4,<3"]\npython_version = "3.11"\n'
    files = {
        tmp_path / "pyproject.toml": core,
        tmp_path / "advplug" / "__init__.py": '__version__ = "{v}"\n',
        tmp_path / "CITATION.cff": "cff-version: 1.2.0\nversion: {v}\n",
        tmp_path / "plugins" / "attacks" / "advplug-attack-x" / "pyproject.toml": plugin,
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(v="0.1.0", pin=">=0.1,<0.2"))
    assert set(tool("bump").bump(tmp_path, "1.12.3")) == set(files)
    for path, text in files.items():
        assert path.read_text() == text.format(v="1.12.3", pin=">=1.12,<1.13")
    assert tool("bump").bump(tmp_path, "1.12.3") == []


@pytest.mark.parametrize("arguments", [[], ["1.2"], ["v1.2.3"], ["1.2.3", "4.5.6"]])
def test_bump_refuses_other_versions(arguments: list[str]) -> None:
    assert tool("bump").main(arguments) == 2


def test_ci_runs_the_test_command() -> None:
    script = ROOT / ".ci" / "run"
    assert "make test" in script.read_text().splitlines()
    assert script.stat().st_mode & 0o111
