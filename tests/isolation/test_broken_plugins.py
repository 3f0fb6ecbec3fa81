"""Every way in which an installed plugin can be broken: the host goes on, says so, and names who and where."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from advplug.testing.distributions import SmallDistribution, attack_source

Advplug = Callable[..., Any]  # see conftest.py, which test files cannot import
Answer = Any
Install = Callable[..., Path]

SPEC = "AttackSpec(name={name!r}, factory={factory!r}, summary='one', reference='none', {more})"
ATTACKS = "from advplug import AttackSpec, hookimpl\n\n@hookimpl\ndef advplug_attacks({arguments}):\n    {body}\n"


def spec(name: str, factory: str = "fractions:Fraction", more: str = "") -> str:
    return SPEC.format(name=name, factory=factory, more=more)


def hook(body: str, arguments: str = "") -> str:
    return ATTACKS.format(body=body, arguments=arguments)


@dataclass(frozen=True)
class Mode:
    """A broken distribution ``advplug-attack-NAME``: its source, and what is to be said of it.

    ``traceback`` is a piece of the shown traceback that leads the author to the place.
    """

    source: str
    stage: str
    error: str
    traceback: str = ""
    entry_point: str = ""

    def distribution(self, name: str) -> SmallDistribution:
        module = module_of(name)
        return SmallDistribution(
            name=f"advplug-attack-{name}",
            version="1.2.3",
            modules={f"{module}.py": self.source},
            entry_points={f"attack-{name}": module + self.entry_point},
        )


def module_of(name: str) -> str:
    return f"advplug_attack_{name}".replace("-", "_")


HALF = """
from advplug import AttackSpec, hookimpl

@hookimpl
def advplug_attacks():
    open("ran.txt", "w").close()
    return [AttackSpec(name="half", factory="fractions:Fraction", summary="one", reference="none")]

@hookimpl
def advplug_diagnose(no_such_argument):
    return []
"""

MODES: dict[str, Mode] = {
    "import-error": Mode(
        "from advplug import no_such_thing", "import", "ImportError: cannot import name", "from advplug import no_such"
    ),
    "dependency": Mode(
        "import surely_absent_library", "import", "No module named 'surely_absent_library'", "import surely_absent"
    ),
    "syntax-error": Mode("def", "import", "SyntaxError", "advplug_attack_syntax_error.py"),
    "exits": Mode("import sys\nsys.exit(0)", "import", "SystemExit: 0", "sys.exit(0)"),
    "panics": Mode(  # as compiled extensions do: their PanicException is no Exception
        "class Panic(BaseException): pass\nraise Panic('out of range')", "import", "Panic: out of range", "raise Panic"
    ),
    "no-attribute": Mode(
        "", "import", "has no attribute 'no_such'", "AttributeError", ":no_such"
    ),
    "names-none": Mode(
        "plugin = None", "register", "names None", "raise InvalidSpec", ":plugin"
    ),
    "signature": Mode(hook(f"return [{spec('signature')}]", "colour"), "register", "PluginValidationError", "colour"),
    "half": Mode(HALF, "register", "PluginValidationError", "no_such_argument"),
    "misspelt": Mode(
        attack_source("misspelt").replace("advplug_attacks", "advplug_atacks"),
        "hooks", "unknown hook 'advplug_atacks'", "check_pending",
    ),
    "no-marker": Mode(
        attack_source("no-marker").replace("@hookimpl", ""), "hooks", "implements no hook: mark its functions"
    ),
    "raises": Mode(hook("return [1 / 0]"), "advplug_attacks", "ZeroDivisionError", "return [1 / 0]"),
    "hook-exits": Mode(hook("raise SystemExit(3)"), "advplug_attacks", "SystemExit: 3", "raise SystemExit(3)"),
    "generator": Mode(
        hook(f"yield {spec('generator')}\n    raise RuntimeError('halfway')"),
        "advplug_attacks", "RuntimeError: halfway", "raise RuntimeError('halfway')",
    ),
    "one-spec": Mode(
        hook(f"return {spec('one-spec')}"), "advplug_attacks", "returned AttackSpec, not an iterable",
    ),
    "number": Mode(hook("return 3"), "advplug_attacks", "returned int, not an iterable"),
    "no-spec": Mode(hook("return [None]"), "spec", "gave NoneType, not AttackSpec"),
    "bad-name": Mode(hook(f"return [{spec('Bad Name')}]"), "advplug_attacks", "lower-case letters", "name='Bad Name'"),
    "bad-factory": Mode(
        hook(f"return [{spec('bad-factory', 'no_colon')}]"), "advplug_attacks", "package.module:attribute", "no_colon"
    ),
    "bad-api": Mode(
        hook(f"return [{spec('bad-api', more='api=None')}]"), "advplug_attacks", "None, not of type int", "api=None"
    ),
    "bad-tags": Mode(
        hook(f"return [{spec('bad-tags', more='tags=[]')}]"), "advplug_attacks", "[], not of type frozenset", "tags=[]"
    ),
    "newer": Mode(hook(f"return [{spec('newer', more='api=99')}]"), "spec", "needs hook API 99, this advplug has"),
    "twice": Mode(
        attack_source("twice", "twice"), "duplicate", "advplug-attack-twice brings attack:twice more than once"
    ),
}  # fmt: skip
each_mode = pytest.mark.parametrize("name", MODES)


@each_mode
def test_list_shows_what_works_and_one_line_about_the_rest(
    advplug: Advplug, site: Install, working: set[str], name: str
) -> None:
    answer = advplug(site(MODES[name].distribution(name)), "list")
    assert answer.code == 0
    assert answer.keys == working
    assert answer.stderr == f"! problems with advplug-attack-{name} (advplug doctor for the traceback)\n"
    assert answer.heavy == []
    assert not (answer.folder / "ran.txt").exists()  # no hook ran of a plugin that is registered by half


@each_mode
def test_using_it_says_that_it_is_broken(advplug: Advplug, site: Install, name: str) -> None:
    answer = advplug(site(MODES[name].distribution(name)), "show", f"attack:{name}")
    assert (answer.code, answer.stdout) == (4, "")
    (line,) = answer.stderr.splitlines()
    assert line.startswith(f"Error: attack:{name} is installed but broken (")
    assert MODES[name].error in line
    assert "advplug doctor" in line


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of them in one folder."""
    folder = tmp_path_factory.mktemp("everything")
    for name, mode in MODES.items():
        mode.distribution(name).install(folder)
    return folder


@pytest.fixture(scope="module")
def doctor(advplug: Advplug, everything: Path) -> Answer:
    return advplug(everything, "doctor", ADVPLUG_PLUGINS="advplug-attack-*")


@pytest.fixture(scope="module")
def doctor_json(advplug: Advplug, everything: Path) -> Answer:
    return advplug(everything, "doctor", "--json", ADVPLUG_PLUGINS="advplug-attack-*")


@each_mode
def test_doctor_says_who_failed_where(doctor: Answer, name: str) -> None:
    assert doctor.code == 1
    _, found, rest = doctor.stdout.partition(f"advplug-attack-{name} 1.2.3 [attack-{name}] {MODES[name].stage}\n")
    assert found
    text = rest.partition("\n\n")[0]  # up to the next problem
    assert MODES[name].error in text.splitlines()[0]
    assert MODES[name].traceback in text


@each_mode
def test_doctor_says_the_same_in_json(doctor_json: Answer, name: str) -> None:
    assert doctor_json.code == 1
    problems = [
        problem for problem in doctor_json.document["problems"] if problem["distribution"] == f"advplug-attack-{name}"
    ]
    assert problems
    for problem in problems:
        assert (problem["version"], problem["entry_point"]) == ("1.2.3", f"attack-{name}")
        assert problem["stage"] == MODES[name].stage
        assert MODES[name].error in problem["error"]
        assert MODES[name].traceback in problem["traceback"]


def test_doctor_reports_each_once(doctor_json: Answer) -> None:
    reported = sorted(problem["distribution"] for problem in doctor_json.document["problems"])
    assert reported == sorted(f"advplug-attack-{name}" for name in MODES)


def test_all_broken_ones_together_take_nothing_else_down(
    advplug: Advplug, everything: Path, site: Install, working: set[str]
) -> None:
    answer = advplug(None, "list", PYTHONPATH=f"{everything}{os.pathsep}{site()}")
    assert (answer.code, answer.keys, answer.heavy) == (0, working, [])
    (line,) = answer.stderr.splitlines()
    assert all(f"advplug-attack-{name}" in line for name in MODES)


@each_mode
def test_strict_stops_at_it(advplug: Advplug, site: Install, name: str) -> None:
    answer = advplug(site(MODES[name].distribution(name)), "list", ADVPLUG_STRICT="1")
    assert (answer.code, answer.stdout) == (4, "")
    where = f"advplug-attack-{name}:attack-{name} 1.2.3 fails at {MODES[name].stage}: "
    assert answer.stderr.splitlines()[-1].startswith(f"Error: {where}")
    assert "Traceback (most recent call last):" in answer.stderr
    assert MODES[name].traceback in answer.stderr


@each_mode
def test_what_is_switched_off_is_not_imported(advplug: Advplug, site: Install, working: set[str], name: str) -> None:
    mode = MODES[name]
    source = f"open('imported.txt', 'w').close()\n{mode.source}"
    folder = site(replace(mode, source=source).distribution(name))
    answer = advplug(folder, "list", ADVPLUG_DISABLE=f"attack-{name}")
    assert (answer.code, answer.keys, answer.stderr) == (0, working, "")
    assert not (answer.folder / "imported.txt").exists()
