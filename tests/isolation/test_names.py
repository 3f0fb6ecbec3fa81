"""Two that claim one name, whether a plugin's or an entry point's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from advplug.testing.distributions import SmallDistribution, attack_source

Advplug = Callable[..., Any]  # see conftest.py, which test files cannot import
Install = Callable[..., Path]


def brings(distribution: str, *names: str, entry_point: str | None = None) -> SmallDistribution:
    """A distribution whose attacks have these names."""
    module = distribution.replace("-", "_")
    return SmallDistribution(
        name=distribution,
        modules={f"{module}.py": attack_source(*names)},
        entry_points={entry_point or distribution: module},
    )


def test_a_name_with_two_claimants_belongs_to_neither(advplug: Advplug, site: Install, working: set[str]) -> None:
    folder = site(brings("first-attacks", "twin", "own"), brings("second-attacks", "twin"))
    listed = advplug(folder, "list")
    assert (listed.code, listed.keys) == (0, working | {"attack:own"})
    assert listed.stderr == "! problems with first-attacks, second-attacks (advplug doctor for the traceback)\n"

    for name in ("attack:twin", "twin"):
        used = advplug(folder, "show", name)
        assert (used.code, used.stdout) == (4, "")
        assert "write first-attacks:attack:twin or second-attacks:attack:twin" in used.stderr

    for distribution in ("first-attacks", "second-attacks"):
        page = advplug(folder, "show", f"{distribution}:attack:twin", "--json")
        assert page.code == 0
        assert page.document["plugins"][0]["distribution"] == distribution


def test_doctor_names_every_claimant(advplug: Advplug, site: Install) -> None:
    folder = site(brings("first-attacks", "twin"), brings("second-attacks", "twin"))
    answer = advplug(folder, "doctor", "--json", ADVPLUG_PLUGINS="*-attacks")
    assert answer.code == 1
    problems = answer.document["problems"]
    assert [(one["distribution"], one["version"], one["stage"]) for one in problems] == [
        ("first-attacks", "0.1.0", "duplicate"),
        ("second-attacks", "0.1.0", "duplicate"),
    ]
    for problem in problems:
        assert "attack:twin is claimed by first-attacks, second-attacks" in problem["error"]


def test_a_plugin_cannot_take_the_name_of_another(advplug: Advplug, site: Install, working: set[str]) -> None:
    listed = advplug(site(brings("aaa-thief", "good")), "list")
    assert (listed.code, listed.keys) == (0, working)
    assert "aaa-thief" in listed.stderr
    assert any(line.startswith("attack:good") and "advplug-attack-good" in line for line in listed.stdout.splitlines())


def test_entry_points_of_two_distributions_may_have_one_name(
    advplug: Advplug, site: Install, working: set[str]
) -> None:
    folder = site(
        brings("first-attacks", "one", entry_point="attacks"), brings("second-attacks", "two", entry_point="attacks")
    )
    listed = advplug(folder, "list")
    assert (listed.code, listed.keys, listed.stderr) == (0, working | {"attack:one", "attack:two"}, "")


@pytest.mark.parametrize("second", ["also_attacks", "no_such_module"])
def test_of_two_entry_points_with_one_name_in_one_distribution_the_first_stays(
    advplug: Advplug, site: Install, working: set[str], second: str
) -> None:
    distribution = SmallDistribution(
        name="some-attacks",
        modules={"some_attacks.py": attack_source("some"), "also_attacks.py": attack_source("also")},
        entry_points=f"[advplug]\nattacks = some_attacks\nattacks = {second}\n",
    )
    listed = advplug(site(distribution), "list")
    assert (listed.code, listed.keys) == (0, working | {"attack:some"})
    assert listed.stderr == "! problems with some-attacks (advplug doctor for the traceback)\n"


def test_an_unknown_name_points_at_broken_plugins_that_may_have_brought_it(advplug: Advplug, site: Install) -> None:
    broken = SmallDistribution(
        name="some-attacks", modules={"some_attacks.py": "1 / 0"}, entry_points={"some": "some_attacks"}
    )
    used = advplug(site(broken), "show", "attack:zap")
    assert used.code == 4
    assert "Broken plugins may have brought it: some-attacks (advplug doctor)" in used.stderr
