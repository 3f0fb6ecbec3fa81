"""``advplug list``, ``show`` and ``doctor``, the help, and the exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from types import ModuleType, SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from advplug import AdaptiveSpec, AttackSpec, DefenseSpec, errors, hookimpl
from advplug.cli import cli, explain, run
from advplug.plugins.manager import Manager, using


class Toy:
    """A factory with parameters and presets, as attacks and defenses have."""

    presets = {"small": SimpleNamespace(summary="a small one", data="mnist", threat="linf:0.3", weights=None)}  # noqa: RUF012

    def __init__(self, model: object, steps: int = 40, *, mode: frozenset[str] = frozenset()) -> None:
        self.steps = steps


class Plugin:
    @hookimpl
    def advplug_attacks(self) -> list[AttackSpec]:
        tags = frozenset({"linf", "targeted"})
        return [AttackSpec(name="toy", factory="toy:Toy", summary="[An] attack", reference="Us, 2026", tags=tags)]

    @hookimpl
    def advplug_defenses(self) -> list[DefenseSpec]:
        return [DefenseSpec(name="wall", factory="toy:Toy", summary="A defense", reference="They, 2025")]

    @hookimpl
    def advplug_adaptive(self) -> list[AdaptiveSpec]:
        fields: dict[str, Any] = {
            "summary": "Breaks it",
            "reference": "Us, 2026",
            "breaks": "wall",
            "uses_attacks": ("toy",),
        }
        return [AdaptiveSpec(name="wall", factory="toy:Toy", **fields)]


class Bridge:
    @hookimpl
    def advplug_attacks(self) -> list[AttackSpec]:
        fields: dict[str, Any] = {"factory": "toy:Toy", "summary": "Theirs", "reference": "They, 2020"}
        names = ("art:First", "art:Second")  # rich knows an emoji ":art:"
        return [AttackSpec(name=name, library="click", tags=frozenset({"white-box"}), **fields) for name in names]


class Broken:
    @hookimpl
    def advplug_attacks(self) -> list[AttackSpec]:
        raise RuntimeError("no luck")


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> None:
    toy = ModuleType("toy")
    toy.Toy = Toy  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "toy", toy)


@pytest.fixture
def plugins(module: None) -> Iterator[Manager]:
    with using(Manager(plugins=[Plugin()])) as manager:
        yield manager


@pytest.fixture
def broken(module: None) -> Iterator[Manager]:
    with using(Manager(plugins=[Plugin(), Broken()])) as manager:
        yield manager


@pytest.fixture
def bridge(module: None) -> Iterator[Manager]:
    with using(Manager(plugins=[Plugin(), Bridge()])) as manager:
        yield manager


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def test_list_prints_a_line_for_each_plugin(plugins: Manager) -> None:
    result = invoke("list")
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["adaptive:wall", "attack:toy", "defense:wall"]
    assert "[An] attack" in result.stdout
    assert result.stderr == ""


def test_list_one_kind_as_json(plugins: Manager) -> None:
    answer = json.loads(invoke("list", "--kind", "attack", "--json").stdout)
    assert answer["schema_version"] == 1
    assert answer["plugins"] == [
        {
            "key": "attack:toy",
            "kind": "attack",
            "name": "toy",
            "summary": "[An] attack",
            "tags": ["linf", "targeted"],
            "library": None,
            "distribution": "plugin",
            "version": "",
        }
    ]


def test_list_mentions_problems_on_stderr_and_succeeds(broken: Manager) -> None:
    result = invoke("list", "--json")
    assert result.exit_code == 0
    assert len(json.loads(result.stdout)["plugins"]) == 3
    assert "problems with broken (advplug doctor" in result.stderr


def test_list_without_plugins_says_how_to_get_one() -> None:
    with using(Manager(plugins=[])):
        result = invoke("list")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "pip install" in result.stderr


def test_list_folds_the_attacks_of_a_library(bridge: Manager) -> None:
    lines = invoke("list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["adaptive:wall", "attack:art:*", "attack:toy", "defense:wall"]
    assert f"2 attacks of click {metadata.version('click')}: advplug list --library art" in lines[1]
    assert "bridge" in lines[1]
    for arguments in (["--library", "art"], ["--library", "click"]):
        lines = invoke("list", *arguments).stdout.splitlines()
        assert [line.split()[:2] for line in lines] == [["attack:art:First", "Theirs"], ["attack:art:Second", "Theirs"]]
    assert len(invoke("list", "--all").stdout.splitlines()) == 5
    assert invoke("list", "--kind", "defense").stdout.count("\n") == 1
    assert "unless --library or --all asks" in " ".join(invoke("list", "--help").stdout.split())


def test_list_as_json_has_every_attack_of_a_library(bridge: Manager) -> None:
    plugins = json.loads(invoke("list", "--json").stdout)["plugins"]
    assert {plugin["name"]: plugin["library"] for plugin in plugins if plugin["kind"] == "attack"} == {
        "art:First": "click",
        "art:Second": "click",
        "toy": None,
    }
    assert len(json.loads(invoke("list", "--json", "--library", "art").stdout)["plugins"]) == 2


def test_list_of_a_library_that_nobody_brings(bridge: Manager, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["list", "--library", "foolbox"]) == 2
    assert "choose one of art" in capsys.readouterr().err


def test_show_an_attack_of_a_library(bridge: Manager) -> None:
    for name in ("art:First", "attack:art:First", "bridge:attack:art:First"):
        text = invoke("show", name).stdout
        assert "attack:art:First  Theirs" in text
        assert "library" in text
        assert "white-box" in text


def test_show_tells_all(plugins: Manager) -> None:
    text = invoke("show", "attack:toy").stdout
    for part in ("[An] attack", "Us, 2026", "linf, targeted", "adaptive:wall", "parameter steps: int = 40", "plugin"):
        assert part in text
    text = invoke("show", "defense:wall").stdout
    for part in ("broken by", "adaptive:wall", "preset small: a small one (data:mnist, linf:0.3, no weights shipped)"):
        assert part in text


def test_show_a_bare_name_shows_every_kind_of_it(plugins: Manager) -> None:
    pages = json.loads(invoke("show", "wall", "--json").stdout)["plugins"]
    assert [page["key"] for page in pages] == ["adaptive:wall", "defense:wall"]
    assert (pages[0]["breaks"], pages[0]["uses_attacks"]) == ("defense:wall", ["attack:toy"])
    assert pages[1]["broken_by"] == ["adaptive:wall"]
    assert pages[1]["presets"]["small"]["weights"] is None
    assert pages[1]["hooks"] == ["advplug_adaptive", "advplug_attacks", "advplug_defenses"]


def test_show_gives_json_defaults(plugins: Manager) -> None:
    (page,) = json.loads(invoke("show", "toy", "--json").stdout)["plugins"]
    assert page["parameters"] == {
        "model": {"annotation": "object", "default": None, "required": True},
        "steps": {"annotation": "int", "default": 40, "required": False},
        "mode": {"annotation": "frozenset[str]", "default": "frozenset()", "required": False},
    }


def test_show_what_cannot_be_imported_shows_the_rest_and_fails(
    plugins: Manager, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "toy", ModuleType("toy"))
    assert run(["show", "toy", "--json"]) == 4
    streams = capsys.readouterr()
    assert json.loads(streams.out)["plugins"][0]["parameters"] is None
    assert "advplug doctor" in streams.err


def test_doctor_is_content_with_sound_plugins(plugins: Manager) -> None:
    result = invoke("doctor")
    assert (result.exit_code, result.stdout) == (0, "0 problems, 3 plugins ready\n")


def test_doctor_shows_every_problem_and_fails(broken: Manager) -> None:
    result = invoke("doctor")
    assert result.exit_code == 1
    for part in ("broken [broken] advplug_attacks", "RuntimeError: no luck", "Traceback", "1 problem, 3 plugins"):
        assert part in result.stdout
    (problem,) = json.loads(invoke("doctor", "--json").stdout)["problems"]
    assert (problem["stage"], problem["error"]) == ("advplug_attacks", "RuntimeError: no luck")


@pytest.mark.parametrize("arguments", [["list"], ["--help"], ["list", "--json"]])
def test_light_commands_import_neither_torch_nor_numpy(arguments: list[str]) -> None:
    program = (
        "import sys; from advplug.cli import run; code = run(sys.argv[1:]); "
        "heavy = {'torch', 'numpy', 'foolbox', 'art', 'eagerpy', 'rich'} & set(sys.modules); "
        "sys.exit(f'{code} {heavy}' if code or heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_help_lists_commands_that_are_not_imported_yet() -> None:
    text = invoke("--help").stdout
    for name in ("break", "doctor", "evaluate", "list", "report", "show", "train"):
        assert f"  {name} " in text


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["lst"], 2, "Did you mean list?"),
        (["list", "--kind", "nonsense"], 2, "'nonsense' is not one of"),
        (["show", "attack:tyo"], 4, "did you mean attack:toy?"),
        (["show"], 2, "Missing argument"),
        (["--version"], 0, ""),
        (["list", "--help"], 0, ""),
    ],
)
def test_exit_codes(
    plugins: Manager, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    assert run(arguments) == code
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InvalidInput("x"), 2),
        (errors.AdvplugError("x"), 2),
        (errors.UnknownPlugin("x"), 4),
        (errors.BrokenPlugin("x"), 4),
        (errors.InvalidSpec("x"), 4),
        (errors.MissingWeights("x"), 4),
        (errors.CorruptWeights("x"), 4),
        (errors.DataUnavailable("x"), 4),
        (errors.NonFiniteLogits("x"), 1),
        (ModuleNotFoundError("x", name="torch.nn"), 4),
        (ModuleNotFoundError("x", name="other"), 3),
        (ValueError("x"), 3),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
    ],
)
def test_every_error_has_its_exit_code(error: BaseException, code: int) -> None:
    assert explain(error)[1] == code


def test_an_internal_error_prints_its_traceback_and_an_interrupt_does_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(error: BaseException) -> Any:
        def main(*_: Any, **__: Any) -> None:
            raise error

        return main

    monkeypatch.setattr(cli, "main", fail(ValueError("a bug")))
    assert run(["list"]) == 3
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setattr(cli, "main", fail(KeyboardInterrupt()))
    assert run(["list"]) == 130
    assert capsys.readouterr().err == "Error: interrupted: give the same command again\n"


def test_check_all_leaves_out_the_attacks_of_libraries() -> None:
    with using(Manager(plugins=[Bridge()])):
        assert json.loads(invoke("check", "--all", "--json").stdout)["plugins"] == []
