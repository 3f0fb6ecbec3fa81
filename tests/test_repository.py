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
from runpy import run_path
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
FOLDERS = {
    "attack": "attacks", "defense": "defenses", "adaptive": "adaptive", "data": "data", "tracker": "trackers",
    "loss": "losses", "gradient": "gradients", "criterion": "criteria",
}  # fmt: skip
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


def test_package_and_metadata_have_one_version() -> None:
    assert CORE["project"]["version"] == advplug.__version__


def test_plugins_agree_with_the_core() -> None:
    wrong = []
    for folder in PLUGINS:
        plugin = project(folder)
        code, _, data = plugin["project"]["license"].partition(" AND ")  # of what ships beside the code
        if code != CORE["project"]["license"] or (data and not any((folder / "src").rglob(f"{data}.txt"))):
            wrong.append(f"{folder.name}: license is {plugin['project']['license']}, or its text is not there")
        for field in ("version", "requires-python", "authors"):
            if plugin["project"][field] != CORE["project"][field]:
                wrong.append(f"{folder.name}: {field} is {plugin['project'][field]}, not {CORE['project'][field]}")
        if plugin["build-system"] != CORE["build-system"]:
            wrong.append(f"{folder.name}: build-system is {plugin['build-system']}, not {CORE['build-system']}")
        if plugin["project"]["readme"] != "README.md":
            wrong.append(f"{folder.name}: readme is {plugin['project']['readme']}, not README.md")
    assert not wrong, "\n".join(wrong)


def test_names_agree() -> None:
    wrong = []
    for folder in PLUGINS:
        prefix, kind, name = folder.name.split("-", 2)
        module = folder.name.replace("-", "_")
        fields = project(folder)["project"]
        entry = fields["entry-points"]["advplug"].get(f"{kind}-{name}", "")
        for found, expected in (
            (prefix, "advplug"),
            (folder.parent.name, FOLDERS.get(kind)),
            (fields["name"], folder.name),
            (entry.partition(":")[0], module),
        ):
            if found != expected:
                wrong.append(f"{folder.name}: {found!r}, not {expected!r}")
        if not (folder / "src" / module / "__init__.py").is_file():
            wrong.append(f"{folder.name}: no src/{module}/__init__.py")
    assert not wrong, "\n".join(wrong)


def test_plugins_have_readme_tests_and_types() -> None:
    wrong = []
    for folder in PLUGINS:
        readme = folder / "README.md"
        if not readme.is_file() or not readme.read_text(encoding="utf-8").strip():
            wrong.append(f"{folder.name}: no README.md")
        if not list(folder.glob("tests/test_*.py")):
            wrong.append(f"{folder.name}: no tests")
        if not (folder / "src" / folder.name.replace("-", "_") / "py.typed").is_file():
            wrong.append(f"{folder.name}: no py.typed")
    assert not wrong, "\n".join(wrong)


def test_siblings_are_pinned_to_the_minor_version() -> None:
    wrong = []
    pin = tool("bump").pin(CORE["project"]["version"])
    known = {"advplug", *(plugin.name for plugin in PLUGINS)}
    for folder in (ROOT, *PLUGINS):
        fields = project(folder)["project"]
        dependencies = [*fields["dependencies"], *chain(*fields.get("optional-dependencies", {}).values())]
        for dependency in dependencies:
            match = SIBLING.fullmatch(dependency)
            # The extras of the core name each other without a version.
            if match is None or (folder == ROOT and match[1] == "advplug"):
                continue
            if match[3] != pin:
                wrong.append(f"{folder.name}: {dependency} has not the pin {pin}")
            if match[1] not in known:
                wrong.append(f"{folder.name}: {dependency}: no such plugin here")
        if folder != ROOT and not any(re.match(r"advplug\[torch[],]", dependency) for dependency in dependencies):
            wrong.append(f"{folder.name}: does not depend on advplug[torch]")
    assert not wrong, "\n".join(wrong)


def test_the_extra_all_lists_every_plugin() -> None:
    listed = {SIBLING.fullmatch(item)[1] for item in CORE["project"]["optional-dependencies"]["all"]}  # type: ignore[index]
    assert listed - {"advplug"} == {folder.name for folder in PLUGINS}


def test_the_page_of_plugins_lists_every_plugin_under_its_kind() -> None:
    page = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    sections = re.findall(r"(?ms)^## (.+?)\n(.*?)(?=^## |\Z)", page)
    listed = {(title, name) for title, text in sections for name in re.findall(r"(?m)^\| `([^`]+)` \|", text)}
    titles = {folder: folder.capitalize() for folder in FOLDERS.values()} | {"adaptive": "Cases"}
    assert listed == {(titles[folder.parent.name], folder.name) for folder in PLUGINS}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "(docs/plugins.md)" in readme


@pytest.mark.parametrize("folder", [ROOT, ROOT / "benchmarks"], ids=["core", "benchmarks"])
def test_relative_links_of_readmes_lead_to_files(folder: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", (folder / "README.md").read_text(encoding="utf-8"))
    assert not [link for link in links if "://" not in link and not (folder / link).exists()]


def test_requirements_are_fresh() -> None:
    text = (ROOT / "requirements" / "dev.txt").read_text(encoding="ascii")
    assert text == tool("requirements").render(ROOT), "run python tools/requirements.py"
    assert text.startswith("-e .[test,docs,ray,search]\n")


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


def test_what_is_listed_as_slow_is_there() -> None:
    for entry in run_path(str(ROOT / "tests" / "conftest.py"))["SLOW"]:
        path, _, function = entry.partition("::")
        assert (ROOT / path).exists(), entry
        assert not function or f"def {function}(" in (ROOT / path).read_text(encoding="utf-8"), entry


def test_ci_runs_the_test_command() -> None:
    script = ROOT / ".ci" / "run"
    assert "make test-all" in script.read_text().splitlines()
    assert script.stat().st_mode & 0o111
