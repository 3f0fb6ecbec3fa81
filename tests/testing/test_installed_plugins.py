"""Checks of installed distributions: names, imports, declared dependencies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from advplug.plugins.manager import Manager
from advplug.testing import run_checks
from advplug.testing.distributions import SmallDistribution
from advplug.testing.imports import declared_by

TOP = """
from advplug import AttackSpec, hookimpl

@hookimpl
def advplug_attacks():
    factory = "advplug_attack_{name}._attack:Attack"
    names = {brings!r}
    return [AttackSpec(name=name, factory=factory, summary="a test", reference="Made for tests") for name in names]
"""
ATTACK = "from badplugins.attacks import Good as Attack\n"
REQUIRES = ("advplug[torch]", "badplugins>=1; python_version >= '3.10'")

Install = Callable[..., Manager]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """``install("sound")``: a manager of one installed distribution, advplug-attack-sound."""

    def make(
        name: str,
        *,
        entry: str = "",
        top: str = "",
        attack: str = ATTACK,
        requires: Sequence[str] = REQUIRES,
        brings: Sequence[str] = (),
    ) -> Manager:
        package = f"advplug_attack_{name}"
        SmallDistribution(
            name=f"advplug-attack-{name}",
            modules={
                f"{package}/__init__.py": top + TOP.format(name=name, brings=list(brings or (name,))),
                f"{package}/_attack.py": attack,
            },
            entry_points={entry or f"attack-{name}": package},
            requires=requires,
        ).install(tmp_path)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.setenv("ADVPLUG_PLUGINS", f"advplug-attack-{name}")
        return Manager()

    return make


def failed(name: str, manager: Manager) -> dict[str, str]:
    outcomes = run_checks(f"attack:{name}", manager=manager)
    return {outcome.check.name: outcome.message for outcome in outcomes if outcome.status == "failed"}


def test_a_sound_distribution_passes(install: Install) -> None:
    outcomes = run_checks("attack:sound", manager=install("sound"))
    assert {outcome.check.name for outcome in outcomes if outcome.status != "passed"} == {
        "reaches_targets",
        "finds_small_perturbations",
    }


def test_names_agree(install: Install) -> None:
    found = failed("misnamed", install("misnamed", entry="attack-other"))
    assert found == {"names_agree": "rename the entry point attack-other to attack-misnamed"}


def test_a_relative_may_come_in_the_same_distribution(install: Install) -> None:
    """``ead-l0`` with ``ead``, but not ``other`` with ``ead``."""
    manager = install("family", brings=("family", "family-l0", "stranger"))
    assert "names_agree" not in failed("family-l0", manager)
    assert "names_agree" in failed("stranger", manager)


def test_a_group_goes_by_a_name_of_its_own(install: Install) -> None:
    """``jsma`` and ``vfga`` in ``sparse``; but a single one goes by its own name."""
    manager = install("group", brings=("first", "second"))
    assert "names_agree" not in failed("second", manager)
    manager = install("alone", brings=("third",))
    assert failed("third", manager)["names_agree"] == "rename advplug-attack-alone to advplug-attack-third"


def test_an_attack_of_thousands_of_steps_is_not_quick(install: Install) -> None:
    patient = "from badplugins.attacks import Good\n\nclass Attack(Good):\n    planned_steps = 3000\n"
    outcomes = run_checks("attack:patient", manager=install("patient", attack=patient), quick=True)
    messages = {outcome.check.name: outcome.message for outcome in outcomes if outcome.status == "skipped"}
    assert messages["stays_in_bounds"] == "3000 steps by default: not quick"
    assert "declares_its_imports" not in messages, "what runs no attack is quick"


def test_top_module_is_light(install: Install) -> None:
    manager = install("heavy", top="import numpy\n", requires=(*REQUIRES, "numpy"))
    found = failed("heavy", manager)
    assert list(found) == ["top_module_is_light"]
    assert "import advplug_attack_heavy imports numpy" in found["top_module_is_light"]


def test_declares_its_imports(install: Install) -> None:
    attack = f"import json, pluggy\n{ATTACK}"
    found = failed("undeclared", install("undeclared", attack=attack))
    message = "advplug-attack-undeclared imports pluggy: add them to its dependencies"
    assert found == {"declares_its_imports": message}


@pytest.mark.parametrize(
    ("name", "source", "requires", "missing"),
    [
        ("direct", "import art", ("advplug", "adversarial-robustness-toolbox"), "packaging"),
        ("door", "def f():\n    from advplug.interop.art import ArtAttack", ("advplug[torch]",), "packaging"),
        ("lazy", "from advplug.interop import ArtAttack", ("advplug[torch]",), "packaging"),
        ("extra", "from advplug.interop.art import ArtAttack", ("advplug[art]",), None),
        ("nested", "import torch, eagerpy", ("advplug[foolbox]",), None),  # whose extra asks for advplug[torch]
        ("bare", "import torch", ("advplug",), "torch"),
    ],
)
def test_extras_of_the_core_count_and_art_needs_packaging(
    install: Install, name: str, source: str, requires: tuple[str, ...], missing: str | None
) -> None:
    manager = install(name, attack=f"{ATTACK}{source}\n", requires=(*requires, "badplugins"))
    (outcome,) = run_checks(f"attack:{name}", manager=manager, only=["declares_its_imports"])
    assert outcome.status == ("failed" if missing else "passed"), outcome.message
    assert (missing or "") in outcome.message


def test_requirements_of_the_core_are_not_those_of_its_extras() -> None:
    assert {"pluggy", "click", "rich"} <= declared_by("advplug")
