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
from advplug.scaffold import KINDS, LONGEST, LONGEST_NAME, PROJECT, Plan, class_name, pin_of, title_of, write

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted(ROOT.glob("plugins/*/*/pyproject.toml"))
# A word that the template uses itself, a keyword when capitalised, the shortest and the longest.
NAMES = ("task", "true", "x", "nine-chars-nine-chars-nine-cha", "view", "objective", "decision")


LONG_LINES = {field: ("What a lot of words. " * 12)[: longest - 1] + "x" for field, longest in LONGEST.items()}
SOMEBODYS_PAPER = re.compile(r"et al|arxiv|\b(19|20)\d\d\b|\d{4}\.\d{5}", re.IGNORECASE)


def plan(kind: str, name: str, parent: Path, **fields: Any) -> Plan:
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


@pytest.mark.parametrize("standalone", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_the_files_are_the_documented_ones(kind: str, standalone: bool, tmp_path: Path) -> None:
    written = write([plan(kind, "my-own", tmp_path, standalone=standalone)])
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
    if standalone:
        expected |= {f"advplug-{kind}-my-own/{path}" for path in PROJECT}
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
def test_title_and_paper_are_the_authors_own(kind: str, tmp_path: Path) -> None:
    own = {"title": "Own name", "paper": "Us, Our Work, Here 1999"}
    (tmp_path / "given").mkdir()
    texts = {
        path.name: path.read_text(encoding="utf-8")
        for path in write([plan(kind, "my-own", tmp_path / "given", **own)])
        if path.suffix in (".py", ".md")
    }
    assert 'reference="Us, Our Work, Here 1999",' in texts["__init__.py"]
    assert texts["__init__.py"].startswith('"""Own name, a')
    assert texts["README.md"].startswith("# Own name\n")
    assert "\nSource: Us, Our Work, Here 1999.\n" in texts["README.md"]
    for path in write([plan(kind, "my-own", tmp_path)]):
        if path.suffix in (".py", ".md", ".toml"):
            text = path.read_text(encoding="utf-8")
            assert not SOMEBODYS_PAPER.search(text), (path, SOMEBODYS_PAPER.search(text))
            assert 'reference="no paper so far",' in text or path.name != "__init__.py"
    assert title_of("my-own") == "My Own"


def test_a_repository_of_its_own_has_what_it_needs(tmp_path: Path) -> None:
    write([plan("attack", "mine", tmp_path)])
    folder = tmp_path / "advplug-attack-mine"
    licence = (folder / "LICENSE").read_text(encoding="utf-8")
    ours = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert re.sub(r"\(c\) \d{4} Us\n", "(c) 2026 The advplug authors\n", licence) == ours
    assert {".tox/", "dist/", "advplug-runs/"} <= set((folder / ".gitignore").read_text(encoding="utf-8").split())
    yaml = pytest.importorskip("yaml")
    workflow = yaml.safe_load((folder / ".github" / "workflows" / "check.yml").read_text(encoding="utf-8"))
    assert workflow["name"] == "advplug check"
    steps = workflow["jobs"]["check"]["steps"]
    assert steps[1]["with"]["python-version"] == "${{ matrix.python }}"
    assert steps[-1]["run"] == "tox -e py"


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
        # Behind AND stands the licence of data that a package ships beside its code.
        assert found["project"]["license"] == shipped["project"]["license"].partition(" AND ")[0], path
        for field in ("version", "requires-python", "readme"):
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
    write([plan(kind, "long-lines", tmp_path, **LONG_LINES) for kind in KINDS])
    for command in (["check"], ["format", "--check", "--diff"]):
        program = [sys.executable, "-m", "ruff", *command, "--no-cache", "--config", "pyproject.toml", str(tmp_path)]
        done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_generated_code_passes_the_type_checker(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    write([plan(kind, name, tmp_path) for kind, name in zip(KINDS, NAMES, strict=True)])
    folders = sorted(str(path) for name in ("src", "tests") for path in tmp_path.glob(f"*/{name}"))
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


@pytest.mark.parametrize("field", LONGEST)
@pytest.mark.parametrize("text", ["", "  ", ".", 'a "quoted" word', "back\\slash", "two\nlines", "x" * 241])
def test_lines_that_could_not_stand_in_the_files_are_refused(text: str, field: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=field):
        plan("attack", "mine", tmp_path, **{field: text})


def test_a_paper_that_the_contract_would_refuse_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="give authors, title, venue and year"):
        plan("attack", "mine", tmp_path, paper="Us 2026")


def test_a_long_paper_is_one_string(tmp_path: Path) -> None:
    write([plan("attack", "mine", tmp_path, paper=LONG_LINES["paper"])])
    text = (tmp_path / "advplug-attack-mine/src/advplug_attack_mine/__init__.py").read_text(encoding="utf-8")
    (node,) = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.keyword) and node.arg == "reference"]
    assert ast.literal_eval(node.value) == LONG_LINES["paper"]


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="attack, defense, adaptive, data, loss"):
        plan("paper", "mine", tmp_path)


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
