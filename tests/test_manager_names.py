"""Names of plugins: who owns one that two claim, and what is said of one that nobody has."""

from __future__ import annotations

from typing import Any

import pytest
from fake_entry_points import GOOD, FakeEntryPoint, Install, attack, installer, offers, only_problem

from advplug import AttackSpec
from advplug.errors import BrokenPlugin, UnknownPlugin


@pytest.fixture(autouse=True)
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    return installer(monkeypatch)


def test_the_distribution_named_after_the_plugin_owns_a_duplicate_name(install: Install) -> None:
    thief = FakeEntryPoint("attack-ead", offers(attack(summary="stolen")), "aaa-plugins")
    owner = FakeEntryPoint("attack-ead", offers(attack(summary="original")), "Advplug_Attack.EAD")
    manager = install(thief, owner)
    assert manager.find("attack:ead").summary == "original"
    assert manager.find("aaa-plugins:attack:ead").summary == "stolen"
    assert manager.find("advplug-attack-ead:attack:ead").summary == "original"
    problem = only_problem(manager)
    assert (problem.distribution, problem.stage) == ("aaa-plugins", "duplicate")
    assert [spec.summary for spec in manager.specs("attack")] == ["original"]


def test_without_an_owner_nobody_gets_a_duplicate_name(install: Install) -> None:
    manager = install(
        FakeEntryPoint("x", offers(attack(summary="one")), "aaa"),
        FakeEntryPoint("x", offers(attack(summary="two")), "bbb"),
    )
    assert [problem.distribution for problem in manager.failures] == ["aaa", "bbb"]
    with pytest.raises(BrokenPlugin, match=r"write aaa:attack:ead or bbb:attack:ead"):
        manager.find("attack:ead")
    assert manager.find("bbb:attack:ead").summary == "two"
    assert manager.specs("attack") == ()


def test_unknown_names_get_a_hint_and_the_install_command(install: Install) -> None:
    manager = install(GOOD, FakeEntryPoint("attack-ead", offers(attack())))
    with pytest.raises(UnknownPlugin, match=r"did you mean attack:ead.*pip install advplug-attack-edd"):
        manager.find("attack:edd")
    with pytest.raises(UnknownPlugin, match=r"did you mean attack"):
        manager.find("atack:ead")
    with pytest.raises(UnknownPlugin, match=r"did you mean attack:ead"):
        manager.find("ead")
    with pytest.raises(UnknownPlugin, match="no plugin 'attack:zoo', or install it: pip install advplug-attack-zoo"):
        manager.find("attack:zoo")
    with pytest.raises(UnknownPlugin, match="no kind of plugin 'attacks'"):
        manager.specs("attacks")


def test_a_broken_plugin_is_not_called_unknown(install: Install) -> None:
    manager = install(FakeEntryPoint("attack-ead", ImportError("no module named x")))
    with pytest.raises(BrokenPlugin, match=r"no module named x.*advplug doctor"):
        manager.find("attack:ead")


def bridged(name: str, **fields: Any) -> AttackSpec:
    return attack(name, library="fractions", **fields)


def test_attacks_of_another_library_are_found_by_its_names(install: Install) -> None:
    spec = bridged("foolbox:LinfPGD")
    manager = install(
        FakeEntryPoint("attack-foolbox", offers(spec, bridged("foolbox:EADAttack", summary="EAD, ElasticNet"))), GOOD
    )
    assert manager.find("attack:foolbox:LinfPGD") is spec
    assert manager.find("Advplug_Attack.Foolbox:attack:foolbox:LinfPGD") is spec
    assert manager.load("attack:foolbox:LinfPGD") is spec.load()
    assert manager.provenance("attack:foolbox:EADAttack").entry_point == "attack-foolbox"
    with pytest.raises(UnknownPlugin, match=r"did you mean attack:foolbox:LinfPGD.*install advplug-attack-foolbox$"):
        manager.find("attack:foolbox:LinfPDG")
    with pytest.raises(UnknownPlugin, match=r"did you mean attack:foolbox:LinfPGD"):
        manager.find("foolbox:LinfPGD")
    with pytest.raises(UnknownPlugin, match=r"did you mean attack:foolbox:EADAttack"):  # its class, in the summary
        manager.find("attack:foolbox:ElasticNet")
    with pytest.raises(UnknownPlugin, match=r"attack:foolbox:CLASS \(advplug list --library foolbox"):
        manager.find("attack:foolbox")
    with pytest.raises(UnknownPlugin, match=r"pip install advplug-attack-art$"):
        manager.find("attack:art:SquareAttack")


def test_the_bridge_named_after_a_library_owns_its_names(install: Install) -> None:
    thief = FakeEntryPoint("x", offers(bridged("foolbox:LinfPGD", summary="stolen")), "aaa-plugins")
    manager = install(thief, FakeEntryPoint("attack-foolbox", offers(bridged("foolbox:LinfPGD"))))
    assert manager.provenance("attack:foolbox:LinfPGD").distribution == "advplug-attack-foolbox"
    assert manager.find("aaa-plugins:attack:foolbox:LinfPGD").summary == "stolen"
    assert only_problem(manager).stage == "duplicate"


def test_a_bridge_that_fails_or_is_off_is_not_called_unknown(monkeypatch: pytest.MonkeyPatch, install: Install) -> None:
    entry = FakeEntryPoint("attack-foolbox", ModuleNotFoundError("no foolbox"))
    with pytest.raises(BrokenPlugin, match="no foolbox"):
        install(entry).find("attack:foolbox:LinfPGD")
    monkeypatch.setenv("ADVPLUG_DISABLE", "attack-foolbox")
    with pytest.raises(UnknownPlugin, match="ADVPLUG_DISABLE switches it off"):
        install(entry).find("attack:foolbox:LinfPGD")
