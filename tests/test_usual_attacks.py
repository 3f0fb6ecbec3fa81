"""``advplug evaluate`` without ``--attacks``: the standard suite, then a search within a budget."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from advplug import AttackSpec, hookimpl, load
from advplug.cli import _usual, run
from advplug.cli._usual import Usual, as_multiple, cost_of, read_multiple, usual
from advplug.composition.plan import Plan
from advplug.errors import InvalidInput
from advplug.plugins.manager import Manager, default_manager

NET = """
import torch


def net():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(6, 3))
"""
OWN = ("--data", "x.npz", "--threat", "linf:0.5", "--no-report", "--json", "--out", "run")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model that every attack breaks at once, and data."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_usual.py").write_text(NET, encoding="utf-8")
    x = np.random.default_rng(0).random((6, 6), dtype=np.float32)
    np.savez("x.npz", x=x, y=np.arange(6) % 3)
    return tmp_path


def attack_in(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[str, str]:
    """Name and components of the only attack of a run."""
    pytest.importorskip("optuna")
    code = run(["evaluate", "own_usual:net", *OWN, *arguments])
    streams = capsys.readouterr()
    assert code == 0, streams.err
    (row,) = json.loads(streams.out)["rows"]
    return row["name"], row["components"]["attack"]


def test_the_suite_and_a_search_run_where_nobody_names_an_attack(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, attack = attack_in(folder, capsys)
    assert name == "auto"
    assert attack.startswith("Auto(")
    assert "cost=0.7273" in attack
    order = json.loads((folder / "run" / "job.json").read_text(encoding="utf-8"))
    assert (order["values"]["attacks"], order["values"]["settings"]) == ("auto", ["auto.cost=0.7273"])


def test_a_budget_and_settings_reach_the_search(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, attack = attack_in(folder, capsys, "--time-budget", "1x", "--set", "auto.trials=7")
    assert "cost=0," in attack
    assert "trials=7" in attack
    (folder / "own.toml").write_text('time_budget = "3.75x"\n', encoding="utf-8")
    _, attack = attack_in(folder, capsys, "--config", "own.toml", "--fresh")
    assert "cost=2," in attack


def test_a_named_attack_is_run_as_ever(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, attack = attack_in(folder, capsys, "--attacks", "pgd")
    assert name == "pgd"
    assert attack.startswith("PGD(")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--losses", "margin"], "--losses needs an attack that takes them: name one, such as --attacks pgd"),
        (["--attacks", "pgd", "--time-budget", "2x"], "--time-budget is for runs without --attacks"),
        *(
            (["--time-budget", text], f"--time-budget {text}: write a multiple of what standard takes")
            for text in ("0.5x", "x", "2 x", "two", "-3", "")
        ),
    ],
)
def test_what_means_nothing_is_refused(
    arguments: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["evaluate", "own_usual:net", *OWN, *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (folder / "run").exists()


def test_the_multiple_bounds_suite_and_search_together() -> None:
    """The limits of all three sentences of a sequence add up to what the suite leaves of the budget."""
    spent, samples = 100_000_000, 10
    for multiple in (1.0, 2.0, 3.5):
        plan = Plan(cost=cost_of(multiple))
        limits = [plan.passes(part, spent, samples, stochastic=False) for part in (1, 2, 3)]
        assert sum(limits) == pytest.approx((multiple - 1) * spent)


@pytest.mark.parametrize(
    ("text", "multiple"),
    [("35", "3.5x"), ("39.9s", "3.5x"), ("15", "1.5x"), ("14.9", "1x"), ("2", "1x"), ("2x", "2x"), ("9999999", "100x")],
)
def test_seconds_become_a_multiple_that_is_named(
    text: str, multiple: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_usual, "_longest", lambda job: 10.0)
    job: Any = None
    assert as_multiple(text, lambda: job) == multiple
    said = capsys.readouterr().err
    assert (f"taken as {multiple} here" in said) == (not text.endswith("x"))
    assert ("standard alone may take 10 s here, so that no search follows" in said) == (text in ("14.9", "2"))


def test_the_suite_is_timed_on_the_model(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, attack = attack_in(folder, capsys, "--time-budget", "1000000")
    assert name == "auto"
    assert "cost=0," not in attack
    with pytest.raises(InvalidInput, match="from 1x on, or seconds"):
        read_multiple("10")


class Some:
    """A plugin that brings attacks of these names."""

    def __init__(self, *names: str) -> None:
        self.names = names

    @hookimpl
    def advplug_attacks(self) -> list[AttackSpec]:
        return [AttackSpec(name=name, factory="toy:Toy", summary="s", reference="r") for name in self.names]


def refuse(usual: Usual) -> Any:
    raise AssertionError(f"{usual} is not to be built")


@pytest.mark.parametrize(
    ("names", "threat", "attacks", "message"),
    [
        (("pgd", "standard"), "linf:0.1", "standard", "pip install advplug-attack-auto"),
        (("pgd",), "linf:0.1", "pgd", "is not installed: pip install advplug-attack-auto"),
        (("pgd", "standard", "auto"), "l0:5", "pgd", "standard, which would run first, does not work under l0"),
    ],
)
def test_what_runs_instead_is_said(
    names: tuple[str, ...], threat: str, attacks: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = usual(None, None, threat, refuse, Manager(plugins=[Some(*names)]))
    assert found.attacks == attacks
    assert found.losses == (None if attacks == "standard" else "cross-entropy,margin")
    assert message in capsys.readouterr().err


def test_without_optuna_the_suite_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(_usual, "find_spec", lambda name: None)
    assert usual(None, None, None, refuse, Manager(plugins=[Some("standard", "auto")])) == Usual("standard")
    assert "pip install 'advplug[search]'" in capsys.readouterr().err


def test_the_plugin_is_part_of_this_repository() -> None:
    assert {"auto", "standard"} <= {spec.name for spec in default_manager().specs("attack")}


@pytest.mark.parametrize(("norm", "attacks"), _usual.NEAREST.items())
def test_the_least_distance_takes_the_attacks_that_come_nearest_together(norm: str, attacks: str) -> None:
    found = usual(None, None, f"{norm}:min", lambda once: pytest.fail("no model is needed"), default_manager())
    assert found == Usual(attacks)
    assert all(norm in load(f"attack:{name}")().norms for name in attacks.split(","))
    assert all(load(f"attack:{name}")().minimum_norm for name in attacks.split(","))


def test_of_the_nearest_attacks_those_that_are_missing_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    class Plugin:
        @hookimpl
        def advplug_attacks(self) -> list[AttackSpec]:
            return [AttackSpec(name="fmn", factory="advplug_attack_fmn:FMN", summary="a test", reference="a test b")]

    def chosen(*plugins: object, budget: str | None = None) -> Usual:
        return usual(budget, None, "l0:min", lambda once: pytest.fail("no model"), Manager(plugins=list(plugins)))

    assert chosen(Plugin()) == Usual("fmn")
    assert "pip install advplug-attack-pdpgd" in capsys.readouterr().err
    with pytest.raises(InvalidInput, match="no attack for the least distance under l0 is installed: pip install"):
        chosen()
    with pytest.raises(InvalidInput, match="--time-budget is for a search within a budget"):
        chosen(Plugin(), budget="2x")


def test_a_run_for_the_least_distance_without_attacks(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["evaluate", "own_usual:net", "--data", "x.npz", "--threat", "l2:min", "--no-report", "--json"]
    assert run(words) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["name"] for row in rows] == ["pdpgd", "fab"]
