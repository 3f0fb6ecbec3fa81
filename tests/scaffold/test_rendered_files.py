"""What ``advplug new`` writes: which files, in the form of this repository's own plugins."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

import advplug
from advplug.errors import InvalidInput
from advplug.scaffold import KINDS, LONGEST_NAME, Plan, class_name, pin_of, write

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted(ROOT.glob("plugins/*/*/pyproject.toml"))
# A word that the template uses itself, a keyword when capitalised, the shortest and the longest.
NAMES = ("task", "true", "x", "nine-chars-nine-chars-nine-cha")


def plan(kind: str, name: str, parent: Path, **fields: str) -> Plan:
    adaptive = {"breaks": "wall", "defense": "advplug-defense-wall>=0.1,<0.2"} if kind == "adaptive" else {}
    core = advplug.__version__
    return Plan(kind=kind, name=name, parent=parent, version=core, core=core, authors="Us", **{**adaptive, **fields})


def source_lines(path: Path) -> list[str]:
    """The lines of a module that are code: not blank, no comment, no docstring."""
    text = path.read_text(encoding="utf-8")
    dropped: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            dropped.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = enumerate(text.splitlines(), 1)
    return [line for number, line in lines if number not in dropped and line.split("#")[0].strip()]


@pytest.mark.parametrize("kind", KINDS)
def test_the_files_are_the_documented_ones(kind: str, tmp_path: Path) -> None:
    written = write([plan(kind, "my-own", tmp_path)])
    module = "dataset" if kind == "data" else kind
    source = f"advplug-{kind}-my-own/src/advplug_{kind}_my_own"
    expected = {
        f"advplug-{kind}-my-own/pyproject.toml",
        f"advplug-{kind}-my-own/README.md",
        f"advplug-{kind}-my-own/tests/test_{kind}_my_own.py",
        f"{source}/__init__.py",
        f"{source}/_{module}.py",
        f"{source}/py.typed",
    }
    if kind == "defense":
        expected |= {f"{source}/weights/mnist.safetensors", f"{source}/weights/mnist.json"}
    assert {path.relative_to(tmp_path).as_posix() for path in written} == expected
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()} == expected


@pytest.mark.parametrize("kind", KINDS)
def test_no_placeholder_is_left_and_the_name_is_everywhere(kind: str, tmp_path: Path) -> None:
    for path in write([plan(kind, "my-own", tmp_path, summary="What's mine, and costs nothing")]):
        if path.suffix in (".py", ".md", ".toml", ".json"):
            text = path.read_text(encoding="utf-8")
            assert "$" not in text, path
            assert re.search("my.own|MyOwn", text), path
            if path.name in ("pyproject.toml", "README.md") or path.name == "__init__.py":
                assert "What's mine, and costs nothing" in text


@pytest.mark.parametrize("kind", KINDS)
def test_metadata_has_only_fields_of_the_shipped_plugins(kind: str, tmp_path: Path) -> None:
    write([plan(kind, "my-own", tmp_path)])
    found = tomllib.loads((tmp_path / f"advplug-{kind}-my-own" / "pyproject.toml").read_text(encoding="utf-8"))
    assert found["project"]["entry-points"]["advplug"] == {f"{kind}-my-own": f"advplug_{kind}_my_own"}
    assert SHIPPED
    for path in SHIPPED:
        shipped = tomllib.loads(path.read_text(encoding="utf-8"))
        assert found.keys() <= shipped.keys(), path
        assert found["project"].keys() <= shipped["project"].keys(), path
        assert found["build-system"] == shipped["build-system"]
        for field in ("version", "license", "requires-python", "readme"):
            assert found["project"][field] == shipped["project"][field], (path, field)


def test_siblings_are_pinned_as_in_this_repository() -> None:
    spec = spec_from_file_location("bump", ROOT / "tools" / "bump.py")
    assert spec is not None
    assert spec.loader is not None
    bump: Any = module_from_spec(spec)
    spec.loader.exec_module(bump)
    for version in ("0.1.0", "1.12.3"):
        assert pin_of(version) == bump.pin(version)
    assert pin_of("") == ""


def test_a_new_attack_is_under_30_lines_of_the_author(tmp_path: Path) -> None:
    """``_attack.py`` with its imports; and together with what registers it, imports apart."""
    write([plan("attack", "mine", tmp_path)])
    folder = tmp_path / "advplug-attack-mine" / "src" / "advplug_attack_mine"
    own, registered = source_lines(folder / "_attack.py"), source_lines(folder / "__init__.py")
    assert 10 < len(own) < 30
    assert len([line for line in own + registered if not line.startswith(("import ", "from "))]) < 30


def test_generated_code_passes_the_linters(tmp_path: Path) -> None:
    pytest.importorskip("ruff")
    write([plan(kind, name, tmp_path) for kind in KINDS for name in NAMES])
    for command in (["check"], ["format", "--check", "--diff"]):
        program = [sys.executable, "-m", "ruff", *command, "--no-cache", "--config", "pyproject.toml", str(tmp_path)]
        done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_generated_code_passes_the_type_checker(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    write([plan(kind, name, tmp_path) for kind, name in zip(KINDS, NAMES, strict=True)])
    folders = sorted(str(path) for path in tmp_path.glob("*/*") if path.is_dir())
    program = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / ".cache"), *folders]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("attack", "my-own", "MyOwn"),
        ("attack", "task", "TaskAttack"),
        ("attack", "iterative-attack", "IterativeAttackAttack"),
        ("defense", "none", "NoneDefense"),
        ("data", "images", "ImagesData"),
        ("attack", "images", "Images"),
    ],
)
def test_class_names_hide_nothing_that_the_module_uses(kind: str, name: str, expected: str) -> None:
    assert class_name(kind, name) == expected


@pytest.mark.parametrize(
    "name",
    ["", "9lives", "My", "my_own", "-a", "a-", "a--b", "a b", "../a", "a/b", "ä", "a\n", "a" * (LONGEST_NAME + 1)],
)
def test_bad_names_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="plugin name"):
        plan("attack", name, tmp_path)


@pytest.mark.parametrize("summary", ["", "  ", 'a "quoted" word', "back\\slash", "two\nlines", "x" * 91])
def test_summaries_that_could_not_stand_in_the_files_are_refused(summary: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="summary"):
        plan("attack", "mine", tmp_path, summary=summary)


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="attack, defense, adaptive, data"):
        plan("loss", "mine", tmp_path)


def test_nothing_is_written_where_one_of_two_folders_is_there(tmp_path: Path) -> None:
    taken = tmp_path / "advplug-adaptive-mine"
    taken.mkdir()
    with pytest.raises(InvalidInput, match="there already"):
        write([plan("defense", "mine", tmp_path), plan("adaptive", "mine", tmp_path)])
    assert list(tmp_path.rglob("*")) == [taken]


def test_nothing_is_left_of_what_fails_half_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.rename

    def second_fails(self: Path, target: Path) -> Path:
        if "adaptive" in self.name:
            raise PermissionError("no permission")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", second_fails)
    with pytest.raises(InvalidInput, match="no permission"):
        write([plan("defense", "mine", tmp_path), plan("adaptive", "mine", tmp_path)])
    assert not list(tmp_path.rglob("*"))


def test_a_parent_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no folder"):
        write([plan("attack", "mine", tmp_path / "none")])
