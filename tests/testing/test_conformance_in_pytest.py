"""``conformance`` as pytest collects it, and ``advplug check`` as a user calls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from badplugins import attacks

from advplug.cli import run
from advplug.errors import InvalidInput, UnknownPlugin
from advplug.plugins.manager import Manager, using
from advplug.testing import checks_for, conformance
from advplug.testing.distributions import SmallDistribution, attack_source

MakeManager = Callable[..., Manager]
DECLARED = "declares_its_imports"


def test_ids_skips_and_strict_expected_failures(tmp_path: Path) -> None:
    source = attack_source("poor", factory="badplugins.attacks:Good")
    SmallDistribution(
        name="advplug-attack-poor", modules={"poor.py": source}, entry_points={"attack-poor": "poor"}
    ).install(tmp_path)
    (tmp_path / "test_poor.py").write_text(
        "from advplug.testing import conformance\n\n"
        "test_conformance = conformance('attack:poor')\n"
        "test_known = conformance('attack:poor', expected_failures={'reference_is_given': 'none', 'is_picklable': 'x'})"
    )
    paths = os.pathsep.join([str(tmp_path), str(Path(__file__).parent)])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", "--tb=line", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert "PASSED test_poor.py::test_conformance[attack:poor-respects_epsilon]" in lines
    assert "FAILED test_poor.py::test_conformance[attack:poor-reference_is_given]" in done.stdout
    assert "give title, venue and year of the source" in done.stdout
    assert "XFAIL test_poor.py::test_known[attack:poor-reference_is_given] - none" in lines
    assert any(line.startswith("FAILED test_poor.py::test_known[attack:poor-is_picklable]") for line in lines)
    assert "[XPASS(strict)] x" in done.stdout
    assert "not tagged targeted" in done.stdout
    assert done.returncode == 1


def test_importing_the_kit_is_light() -> None:
    code = "import sys, advplug.testing; print(*{'torch', 'numpy', 'pytest'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_wrong_expectations_are_refused() -> None:
    with pytest.raises(InvalidInput, match="no check no_such_check"):
        conformance("attack:pgd", expected_failures={"no_such_check": "why"})
    with pytest.raises(InvalidInput, match="reason"):
        conformance("attack:pgd", expected_failures={"is_picklable": " "})
    with pytest.raises(UnknownPlugin, match="write kind:name"):
        conformance("pgd")


def test_quick_leaves_out_slow_checks() -> None:
    assert {check.name for check in checks_for("adaptive:x") if check.slow} == {"breaks_more_than_the_baselines"}
    (mark,) = conformance("adaptive:x", quick=True).pytestmark  # type: ignore[attr-defined]
    assert "adaptive:x-breaks_more_than_the_baselines" not in [param.id for param in mark.args[1]]


def test_check_prints_a_table_and_passes(plugins: MakeManager, capsys: pytest.CaptureFixture[str]) -> None:
    with using(plugins()):
        assert run(["check", "squares"]) == 0
    out = capsys.readouterr().out
    assert "data:squares" in out
    assert "limit_is_honoured" in out
    assert "0 failed" in out


def test_check_says_what_to_mend(plugins: MakeManager, capsys: pytest.CaptureFixture[str]) -> None:
    with using(plugins(attack={"factory": f"{attacks.__name__}:Overshoots"})):
        assert run(["check", "attack:steps", "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["schema_version"] == 1
    assert (answer["failed"], answer["broken"]) == (1, [])
    (plugin,) = answer["plugins"]
    assert plugin["key"] == "attack:steps"
    by_name = {row["name"]: row for row in plugin["checks"]}
    assert list(by_name) == [check.name for check in checks_for("attack:steps")]
    assert by_name["respects_epsilon"]["status"] == "failed"
    assert "task.project" in by_name["respects_epsilon"]["message"]
    assert "Traceback" in by_name["respects_epsilon"]["traceback"]
    assert by_name[DECLARED] == {
        "name": DECLARED,
        "kind": "common",
        "description": "Every package that its files import is declared in its metadata.",
        "status": "skipped",
        "message": "given in memory: there is no distribution",
        "seconds": by_name[DECLARED]["seconds"],
        "traceback": "",
    }


def test_check_all_goes_on_after_a_broken_plugin(plugins: MakeManager, capsys: pytest.CaptureFixture[str]) -> None:
    manager = plugins(attack={"factory": "badplugins.nowhere:Gone"})
    with using(manager):
        assert run(["check", "--all", "--quick", "--json"]) == 4
    streams = capsys.readouterr()
    answer = json.loads(streams.out)
    assert [plugin["key"] for plugin in answer["plugins"]] == [
        "adaptive:net",
        "criterion:far-off",
        "data:squares",
        "defense:net",
        "gradient:shaken",
        "loss:gap",
        "tracker:text",
    ]
    assert "attack:steps could not be imported" in answer["broken"][0]
    assert "attack:steps could not be imported" in streams.err
    assert "breaks_more_than_the_baselines" not in {row["name"] for row in answer["plugins"][0]["checks"]}


@pytest.mark.parametrize("arguments", [[], ["squares", "--all"], ["squares", "--nonsense"]])
def test_check_usage(plugins: MakeManager, arguments: list[str]) -> None:
    with using(plugins()):
        assert run(["check", *arguments]) == 2


def test_check_of_a_plugin_that_is_not_there(plugins: MakeManager, capsys: pytest.CaptureFixture[str]) -> None:
    with using(plugins()):
        assert run(["check", "attack:stepz"]) == 4
    assert "did you mean attack:steps" in capsys.readouterr().err
