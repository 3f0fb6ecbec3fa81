"""ADVPLUG_DISABLE and ADVPLUG_PLUGINS act before a plugin is imported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from advplug.testing.distributions import SmallDistribution, attack_source

Advplug = Callable[..., Any]  # see conftest.py, which test files cannot import
Install = Callable[..., Path]

MARK = "open('imported.txt', 'w').close()\n"

# The entry point and the distribution have different names, so that a test knows which of them was meant.
FATAL = SmallDistribution(
    name="Some_Attacks",
    modules={"some_attacks.py": f"{MARK}raise KeyboardInterrupt"},
    entry_points={"fatal-attack": "some_attacks"},
)
LOUD = SmallDistribution(
    name="Some_Attacks",
    modules={"some_attacks.py": attack_source("some", before=MARK)},
    entry_points={"fatal-attack": "some_attacks"},
)


def was_imported(answer: Any) -> bool:
    return (answer.folder / "imported.txt").exists()


@pytest.mark.parametrize(
    "pattern", ["fatal-attack", "fatal-*", "some-attacks", "Some_Attacks", "some.attacks", "so*ks", "x, *-attacks ,y"]
)
def test_disabled_by_entry_point_or_distribution(
    advplug: Advplug, site: Install, working: set[str], pattern: str
) -> None:
    answer = advplug(site(FATAL), "list", ADVPLUG_DISABLE=pattern)
    assert (answer.code, answer.keys, answer.stderr) == (0, working, "")
    assert not was_imported(answer)


def test_without_it_the_import_happens_and_an_interrupt_is_the_users(advplug: Advplug, site: Install) -> None:
    answer = advplug(site(FATAL), "list")
    assert (answer.code, answer.stdout) == (130, "")
    assert answer.stderr.strip() == "Error: interrupted: give the same command again"
    assert was_imported(answer)


@pytest.mark.parametrize(
    ("allowed", "keys"),
    [
        ("", set()),
        ("advplug-attack-good", {"attack:good"}),
        ("attack-go*", {"attack:good"}),
        ("fatal-attack", {"attack:some"}),
        ("some_attacks, attack-good", {"attack:good", "attack:some"}),
    ],
)
def test_only_what_the_allow_list_names_is_imported(
    advplug: Advplug, site: Install, allowed: str, keys: set[str]
) -> None:
    answer = advplug(site(LOUD), "list", ADVPLUG_PLUGINS=allowed)
    assert (answer.code, answer.keys) == (0, keys)
    assert was_imported(answer) == ("attack:some" in keys)
    assert ("no plugin is installed" in answer.stderr) == (not keys)


def test_disabled_wins_over_allowed(advplug: Advplug, site: Install) -> None:
    answer = advplug(site(LOUD), "list", ADVPLUG_PLUGINS="*attack*", ADVPLUG_DISABLE="some-attacks")
    assert answer.code == 0
    assert "attack:good" in answer.keys
    assert "attack:some" not in answer.keys
    assert not was_imported(answer)


@pytest.mark.parametrize(
    ("variable", "value"), [("ADVPLUG_DISABLE", "attack-good"), ("ADVPLUG_PLUGINS", "some-attacks")]
)
def test_using_what_is_switched_off_names_the_switch(
    advplug: Advplug, site: Install, variable: str, value: str
) -> None:
    answer = advplug(site(LOUD), "show", "attack:good", **{variable: value})
    assert (answer.code, answer.stdout) == (4, "")
    assert answer.stderr == f"Error: attack:good is installed but {variable} switches it off\n"


def test_doctor_lists_what_is_switched_off_and_finds_no_fault_with_it(advplug: Advplug, site: Install) -> None:
    folder = site(FATAL)
    switches = {"ADVPLUG_PLUGINS": "attack-good, fatal-attack", "ADVPLUG_DISABLE": "fatal-attack"}
    text = advplug(folder, "doctor", **switches)
    assert text.code == 0
    assert "some-attacks:fatal-attack is switched off by ADVPLUG_DISABLE" in text.stdout.splitlines()
    document = advplug(folder, "doctor", "--json", **switches).document
    assert document["problems"] == []
    blocked = {one["entry_point"]: one["blocked_by"] for one in document["blocked"]}
    assert blocked.pop("fatal-attack") == "ADVPLUG_DISABLE"
    assert set(blocked.values()) <= {"ADVPLUG_PLUGINS"}
    assert not was_imported(text)
