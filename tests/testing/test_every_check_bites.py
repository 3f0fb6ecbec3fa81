"""The kit tests itself: for every check there is a plugin that fails it, and fails no other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from badplugins import adaptive, attacks, criteria, data, defenses, gradients, losses, trackers

from advplug.plugins.manager import Manager
from advplug.testing import checks_for, run_checks

BAD: dict[str, Any] = {
    "attack": attacks, "defense": defenses, "adaptive": adaptive, "data": data, "tracker": trackers, "loss": losses,
    "gradient": gradients, "criterion": criteria,
}  # fmt: skip
NAMES = {
    "attack": "steps", "defense": "net", "adaptive": "net", "data": "squares", "tracker": "text", "loss": "gap",
    "gradient": "shaken", "criterion": "far-off",
}  # fmt: skip
COMMON: dict[str, dict[str, Any]] = {
    "summary_is_one_line": {"summary": " a test plugin"},
    "reference_is_given": {"reference": "unknown"},
    "factory_loads": {"factory": "badplugins.attacks:NotAnAttack"},
    "constructs_with_defaults": {"factory": "badplugins.attacks:NeedsArgument"},
}
INSTALLED = {"names_agree", "top_module_is_light", "declares_its_imports"}
"""Checks of distributions: see test_installed_plugins.py."""

CASES = [(kind, name) for kind, module in BAD.items() for name in module.BAD]
ACCEPTS = {"detects_in_art": "it accepts every input"}
SOUND = [
    ("attack", attacks.Good, {"reaches_targets": "not tagged targeted", "finds_small_perturbations": "needs a budget"}),
    ("attack", attacks.GoodMinimumNorm, {"reaches_targets": "not tagged targeted"}),
    ("defense", defenses.Good, ACCEPTS),
    ("defense", defenses.GoodStochastic, ACCEPTS),
    ("defense", defenses.GoodDetector, {}),
    ("defense", defenses.GoodRandomDetector, {}),
    ("defense", defenses.GoodWithImages, ACCEPTS),
    ("adaptive", adaptive.Good, {}),
    ("data", data.Good, {}),
    ("tracker", trackers.Good, {}),
    ("loss", losses.Good, {}),
    ("loss", losses.GoodTowardsATarget, {}),
    ("gradient", gradients.Good, {}),
    ("criterion", criteria.Good, {}),
    ("criterion", criteria.GoodWithTargets, {}),
]


def path(cls: type) -> str:
    return f"{cls.__module__}:{cls.__name__}"


def failures(key: str, manager: Manager, quick: bool = True) -> dict[str, str]:
    outcomes = run_checks(key, manager=manager, quick=quick)
    return {outcome.check.name: outcome.message for outcome in outcomes if outcome.status == "failed"}


def test_every_check_has_a_bad_plugin() -> None:
    for kind, module in BAD.items():
        listed = {check.name for check in checks_for(f"{kind}:x")}
        assert listed == {*COMMON, *INSTALLED, *module.BAD}, kind


@pytest.mark.parametrize(("kind", "cls", "skips"), SOUND, ids=[f"{kind}-{cls.__name__}" for kind, cls, _ in SOUND])
def test_sound_plugins_pass(plugins: Callable[..., Manager], kind: str, cls: type, skips: dict[str, str]) -> None:
    manager = plugins(**{kind: {"factory": path(cls)}})
    outcomes = run_checks(f"{kind}:{NAMES[kind]}", manager=manager)
    assert {outcome.check.name: outcome.message for outcome in outcomes if outcome.status == "failed"} == {}
    in_memory = dict.fromkeys(INSTALLED - {"top_module_is_light"}, "given in memory: there is no distribution")
    skipped = {outcome.check.name: outcome.message for outcome in outcomes if outcome.status == "skipped"}
    assert skipped == {**in_memory, **skips}


@pytest.mark.parametrize(("kind", "name"), CASES, ids=[f"{kind}-{name}" for kind, name in CASES])
def test_a_bad_plugin_fails_its_check_and_no_other(plugins: Callable[..., Manager], kind: str, name: str) -> None:
    module = BAD[kind]
    changes: dict[str, Any] = {"factory": path(module.BAD[name])}
    if name in module.TAGS:
        changes["tags"] = frozenset(module.TAGS[name])
    if name in getattr(module, "DRIVES", {}):
        changes["uses_attacks"] = module.DRIVES[name]
    slow = {check.name for check in checks_for(f"{kind}:x") if check.slow}
    found = failures(f"{kind}:{NAMES[kind]}", plugins(**{kind: changes}), quick=name not in slow)
    assert list(found) == [name], found


@pytest.mark.parametrize("name", COMMON)
def test_a_badly_described_plugin_fails_its_check_and_no_other(plugins: Callable[..., Manager], name: str) -> None:
    assert list(failures("attack:steps", plugins(attack=COMMON[name]))) == [name]


def test_messages_say_what_to_mend(plugins: Callable[..., Manager]) -> None:
    found = failures("attack:steps", plugins(attack={"factory": path(attacks.Overshoots)}))
    assert found["respects_epsilon"] == (
        "linf: proposes points 50.0% beyond epsilon, they never count: use task.project"
    )


def test_checks_are_many_named_once_and_described() -> None:
    every = {(check.kind, check.name): check for kind in BAD for check in checks_for(f"{kind}:x")}
    assert len(every) >= 25
    assert len({name for _, name in every}) == len(every)
    for check in every.values():
        assert check.description.endswith((".", ";")), check.name
