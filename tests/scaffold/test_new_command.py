"""``advplug new``: where it writes, what it prints, what it refuses."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import advplug
from advplug import AttackSpec, DefenseSpec, hookimpl
from advplug.cli import new, run
from advplug.plugins.manager import Manager, using


class Plugin:
    @hookimpl
    def advplug_attacks(self) -> list[AttackSpec]:
        return [AttackSpec(name="toy", factory="toy:Toy", summary="s", reference="r")]

    @hookimpl
    def advplug_defenses(self) -> list[DefenseSpec]:
        return [DefenseSpec(name="wall", factory="toy:Toy", summary="s", reference="r")]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working folder and two toy plugins."""
    monkeypatch.chdir(tmp_path)
    with using(Manager(plugins=[Plugin()])):
        yield tmp_path


def test_files_and_next_commands_are_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["new", "attack", "mine"]) == 0
    streams = capsys.readouterr()
    files, _, following = streams.out.partition("\nnext:\n")
    assert all((folder / name).is_file() for name in files.splitlines())
    assert "advplug-attack-mine/src/advplug_attack_mine/_attack.py" in files.splitlines()
    assert [line.strip() for line in following.splitlines()] == [
        "pip install -e ./advplug-attack-mine pytest",
        "advplug check attack:mine",
        "pytest advplug-attack-mine",
    ]
    assert streams.err == ""


def test_a_terminal_is_asked_for_title_and_paper(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(new, "_is_terminal", lambda: True)
    monkeypatch.setattr(sys, "stdin", io.StringIO('A "quoted" name\nFrank-Wolfe\nUs, Our Work, 1999\n'))
    assert run(["new", "attack", "mine"]) == 0
    streams = capsys.readouterr()
    assert streams.err.count("Title, as people read it [Mine]:") == 2
    assert "without double quotes" in streams.err
    assert "Paper (authors, title, venue, year) [no paper so far]:" in streams.err
    assert "Title" not in streams.out
    readme = (folder / "advplug-attack-mine" / "README.md").read_text(encoding="utf-8")
    assert readme.startswith("# Frank-Wolfe\n")
    assert "Source: Us, Our Work, 1999." in readme


@pytest.mark.parametrize("options", [["--title", "Wall", "--paper", "Us, Here, 1999"], ["--json"]])
def test_what_is_given_is_not_asked_for(
    options: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(new, "_is_terminal", lambda: True)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert run(["new", "case", "mine", *options]) == 0
    assert capsys.readouterr().err == ""
    headings = {
        kind: (folder / f"advplug-{kind}-mine" / "README.md").read_text(encoding="utf-8").partition("\n")[0]
        for kind in ("defense", "adaptive")
    }
    assert headings == {"defense": "# Mine" if "--json" in options else "# Wall", "adaptive": "# Mine"}


def test_a_case_is_a_defense_and_what_breaks_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "my plugins").mkdir()
    assert run(["new", "case", "mine", "--path", "my plugins", "--summary", "A wall.", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["schema_version"] == 1
    assert [found["kind"] for found in answer["distributions"]] == ["defense", "adaptive"]
    assert {path.name for path in (folder / "my plugins").iterdir()} == {
        "advplug-defense-mine",
        "advplug-adaptive-mine",
    }
    assert answer["next"][0] == (
        "pip install -e './my plugins/advplug-defense-mine' -e './my plugins/advplug-adaptive-mine' pytest"
    )
    assert answer["next"][1:3] == ["advplug check defense:mine", "advplug check adaptive:mine"]
    metadata = (folder / "my plugins" / "advplug-adaptive-mine" / "pyproject.toml").read_text(encoding="utf-8")
    assert '"advplug-defense-mine>=' in metadata
    defense = (folder / "my plugins" / "advplug-defense-mine" / "README.md").read_text(encoding="utf-8")
    assert "\nA wall.\n" in defense


def test_an_adaptive_attack_names_an_installed_defense(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["new", "adaptive", "mine", "--breaks", "wall"]) == 0
    source = folder / "advplug-adaptive-mine" / "src" / "advplug_adaptive_mine"
    assert 'breaks="wall"' in (source / "__init__.py").read_text(encoding="utf-8")
    # The distribution that brings the defense, whatever it is called.
    assert '"plugin",' in (folder / "advplug-adaptive-mine" / "pyproject.toml").read_text(encoding="utf-8")
    assert run(["new", "adaptive", "wall"]) == 0
    assert run(["new", "adaptive", "other", "--breaks", "wal"]) == 4
    assert "did you mean defense:wall?" in capsys.readouterr().err
    assert run(["new", "adaptive", "nothing"]) == 4
    assert {path.name for path in folder.iterdir()} == {"advplug-adaptive-mine", "advplug-adaptive-wall"}


@pytest.mark.parametrize("below", [".", "plugins/attacks", "docs"])
def test_in_a_clone_it_goes_among_the_plugins(
    below: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("plugins/attacks", "plugins/defenses", "plugins/adaptive", "docs"):
        (folder / name).mkdir(parents=True)
    (folder / "pyproject.toml").write_text('[project]\nname = "advplug"\n', encoding="utf-8")
    monkeypatch.chdir(folder / below)
    assert run(["new", "attack", "mine"]) == 0
    assert "advplug-attack-mine in the extra 'all'" in capsys.readouterr().err
    assert run(["new", "case", "mine"]) == 0
    written = {path.parent.relative_to(folder).as_posix() for path in folder.glob("*/*/*/pyproject.toml")}
    assert written == {
        "plugins/attacks/advplug-attack-mine",
        "plugins/defenses/advplug-defense-mine",
        "plugins/adaptive/advplug-adaptive-mine",
    }
    metadata = (folder / "plugins/attacks/advplug-attack-mine/pyproject.toml").read_text(encoding="utf-8")
    assert 'authors = [{ name = "The advplug authors" }]' in metadata
    assert f'version = "{advplug.__version__}"' in metadata
    assert not list(folder.rglob("tox.ini")), "the repository has its own"


@pytest.mark.parametrize("project", ['[project]\nname = "other"\n', "not = [toml", "[tool.x]\n"])
def test_other_projects_with_plugins_are_no_clone(project: str, folder: Path) -> None:
    (folder / "plugins").mkdir()
    (folder / "pyproject.toml").write_text(project, encoding="utf-8")
    assert run(["new", "data", "mine"]) == 0
    metadata = (folder / "advplug-data-mine" / "pyproject.toml").read_text(encoding="utf-8")
    assert "The authors of advplug-data-mine" in metadata


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["new", "paper", "mine"], "'paper' is not one of"),
        (["new", "attack"], "Missing argument"),
        (["new", "attack", "My_Own"], "lower-case letters"),
        (["new", "attack", "mine", "--breaks", "wall"], "belongs to the kind adaptive"),
        (["new", "attack", "mine", "--summary", 'a "b"'], "without double quotes"),
        (["new", "attack", "mine", "--title", 'a "b"'], "title 'a \"b\"': write one line"),
        (["new", "attack", "mine", "--paper", ""], "paper ''"),
        (["new", "case", "mine", "--from", ".", "--paper", "Us"], "leave out --title and --paper"),
        (["new", "attack", "mine", "--path", "none"], "no folder none"),
    ],
)
def test_wrong_calls_write_nothing(
    arguments: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    assert message in capsys.readouterr().err
    assert not list(folder.iterdir())


def test_a_folder_that_is_there_is_left_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = folder / "advplug-attack-mine" / "notes.txt"
    own.parent.mkdir()
    own.write_text("mine", encoding="utf-8")
    assert run(["new", "attack", "mine"]) == 2
    assert "there already" in capsys.readouterr().err
    assert [path for path in folder.rglob("*") if path.is_file()] == [own]


def test_a_name_that_is_taken_is_mentioned(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["new", "attack", "toy", "--json"]) == 0
    streams = capsys.readouterr()
    assert "attack:toy is installed already, from plugin" in streams.err
    assert json.loads(streams.out)["notes"] == [streams.err.removeprefix("! ").rstrip("\n")]
    assert run(["new", "defense", "toy"]) == 0
    assert capsys.readouterr().err == ""


def test_it_imports_nothing_heavy(folder: Path) -> None:
    program = (
        "import sys; from advplug.cli import run; code = run(['new', 'case', 'mine']); "
        "heavy = {'torch', 'numpy', 'foolbox', 'art', 'eagerpy', 'rich'} & set(sys.modules); "
        "sys.exit(f'{code} {heavy}' if code or heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
