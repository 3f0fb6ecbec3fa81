"""Discovery, isolation, blocking and name resolution, with fake entry points for every way a plugin can fail."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from fake_entry_points import GOOD, FakeEntryPoint, Install, attack, installer, offers, only_problem

import advplug
from advplug import AdaptiveSpec, AttackSpec, DefenseSpec, hookimpl
from advplug.errors import BrokenPlugin, UnknownPlugin
from advplug.plugins.manager import Manager, default_manager, using


@pytest.fixture(autouse=True)
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    return installer(monkeypatch)


def test_finds_loads_and_says_where_a_plugin_comes_from(install: Install) -> None:
    url = '{"url": "file:///src/my%20plugins", "dir_info": {"editable": true}}'
    manager = install(FakeEntryPoint("attack-ead", offers(attack()), version="0.3.0", direct_url=url), GOOD)
    assert [spec.key for spec in manager.specs("attack")] == ["attack:ead", "attack:pgd"]
    assert manager.load("attack:ead").__name__ == "Fraction"
    source = manager.provenance("attack:ead")
    assert (source.distribution, source.version, source.entry_point) == ("advplug-attack-ead", "0.3.0", "attack-ead")
    assert (source.location, source.editable) == ("/src/my plugins", True)
    assert source.hooks == ("advplug_attacks",)
    assert manager.provenance("attack:pgd").location == "site-packages/"
    assert not manager.provenance("attack:pgd").editable
    assert not manager.failures


@pytest.mark.parametrize(
    ("plugin", "stage", "message"),
    [
        (ImportError("no module named nowhere"), "import", "ImportError: no module named nowhere"),
        (SystemExit(3), "import", "SystemExit: 3"),
        (SyntaxError("bad"), "import", "SyntaxError"),
        (None, "register", "names None"),
    ],
    ids=["ImportError", "SystemExit", "SyntaxError", "None"],
)
def test_a_plugin_that_cannot_be_imported_is_a_problem(
    install: Install, plugin: object, stage: str, message: str
) -> None:
    manager = install(FakeEntryPoint("attack-bad", plugin, version="0.2.0"), GOOD)
    problem = only_problem(manager)
    assert (problem.distribution, problem.version, problem.entry_point) == ("advplug-attack-bad", "0.2.0", "attack-bad")
    assert problem.stage == stage
    assert message in problem.error
    assert "Traceback" in problem.traceback
    assert manager.find("attack:pgd").name == "pgd"


def test_problems_are_frozen(install: Install) -> None:
    problem = only_problem(install(FakeEntryPoint("attack-bad", ImportError("x"))))
    with pytest.raises(FrozenInstanceError):
        problem.stage = "other"


def test_a_misspelt_hook_unregisters_its_plugin_only(install: Install) -> None:
    class Plugin:
        @hookimpl
        def advplug_atacks(self) -> list[AttackSpec]:
            return [attack("typo")]

        @hookimpl
        def advplug_attacks(self) -> list[AttackSpec]:
            return [attack("right")]

    manager = install(FakeEntryPoint("attack-bad", Plugin()), GOOD)
    assert only_problem(manager).stage == "hooks"
    assert "advplug_atacks" in only_problem(manager).error
    assert [spec.name for spec in manager.specs("attack")] == ["pgd"]


def test_a_hook_with_wrong_arguments_is_a_problem(install: Install) -> None:
    class Plugin:
        @hookimpl
        def advplug_attacks(self, colour: str) -> list[AttackSpec]:
            return []

    assert only_problem(install(FakeEntryPoint("attack-bad", Plugin()))).stage == "register"


def test_one_module_behind_two_entry_points_is_a_problem(install: Install) -> None:
    plugin = offers(attack())
    manager = install(FakeEntryPoint("attack-ead", plugin), FakeEntryPoint("attack-eae", plugin))
    assert only_problem(manager).entry_point == "attack-eae"
    assert manager.find("attack:ead")


def test_a_generator_that_raises_loses_only_its_own_specs(install: Install) -> None:
    class Plugin:
        @hookimpl
        def advplug_attacks(self) -> Iterator[AttackSpec]:
            yield attack("first")
            raise RuntimeError("halfway")

    manager = install(FakeEntryPoint("attack-bad", Plugin()), GOOD)
    problem = only_problem(manager)
    assert (problem.stage, problem.error) == ("advplug_attacks", "RuntimeError: halfway")
    assert [spec.name for spec in manager.specs()] == ["pgd"]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (attack("new", api=2), "needs hook API 2"),
        ("ead", "gave str, not AttackSpec"),
        (DefenseSpec(name="d", factory="a:b", summary="d", reference="-"), "gave DefenseSpec, not AttackSpec"),
    ],
    ids=["newer api", "not a spec", "spec of another kind"],
)
def test_a_wrong_spec_is_a_problem_and_its_neighbours_stay(install: Install, item: object, message: str) -> None:
    manager = install(FakeEntryPoint("attack-bad", offers(item, attack("beside"))), GOOD)
    assert only_problem(manager).stage == "spec"
    assert message in only_problem(manager).error
    assert [spec.name for spec in manager.specs("attack")] == ["beside", "pgd"]


def test_a_hook_that_returns_one_spec_instead_of_a_list_is_a_problem(install: Install) -> None:
    class Plugin:
        @hookimpl
        def advplug_attacks(self) -> AttackSpec:
            return attack()

    manager = install(FakeEntryPoint("attack-bad", Plugin()), GOOD)
    assert "not an iterable" in only_problem(manager).error


@pytest.mark.parametrize("pattern", ["attack-ead", "advplug-attack-ead", "advplug_attack_ead", "x, attack-e*"])
def test_disabled_plugins_are_not_imported(monkeypatch: pytest.MonkeyPatch, install: Install, pattern: str) -> None:
    monkeypatch.setenv("ADVPLUG_DISABLE", pattern)
    entry = FakeEntryPoint("attack-ead", SystemExit("must not run"))
    manager = install(entry, GOOD)
    assert entry.loaded == 0
    assert not manager.failures
    assert [spec.name for spec in manager.specs()] == ["pgd"]
    with pytest.raises(UnknownPlugin, match="ADVPLUG_DISABLE switches it off"):
        manager.find("attack:ead")


@pytest.mark.parametrize(("allowed", "names"), [("", []), ("attack-pgd", ["pgd"]), ("*-ead,attack-p*", ["ead", "pgd"])])
def test_the_allow_list(monkeypatch: pytest.MonkeyPatch, install: Install, allowed: str, names: list[str]) -> None:
    monkeypatch.setenv("ADVPLUG_PLUGINS", allowed)
    manager = install(FakeEntryPoint("attack-ead", offers(attack())), GOOD)
    assert [spec.name for spec in manager.specs()] == names


def test_strict_raises_the_first_failure(monkeypatch: pytest.MonkeyPatch, install: Install) -> None:
    monkeypatch.setenv("ADVPLUG_STRICT", "1")
    with pytest.raises(BrokenPlugin, match=r"advplug-attack-bad:attack-bad 0\.1\.0 fails at import: .*gone") as caught:
        install(FakeEntryPoint("attack-bad", ImportError("gone")))
    assert isinstance(caught.value.__cause__, ImportError)
    with pytest.raises(BrokenPlugin, match="fails at import: SystemExit"):
        install(FakeEntryPoint("attack-bad", SystemExit(0)))
    with pytest.raises(BrokenPlugin, match=r"fails at duplicate: .*claimed by"):
        install(FakeEntryPoint("x", offers(attack()), "aaa"), FakeEntryPoint("x", offers(attack()), "bbb"))


def test_trace_prints_hook_calls(
    monkeypatch: pytest.MonkeyPatch, install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ADVPLUG_TRACE", "1")
    install(GOOD)
    streams = capsys.readouterr()
    assert "advplug: advplug_attacks() -> advplug-attack-pgd:attack-pgd" in streams.err
    assert streams.out == ""


def test_a_factory_that_cannot_be_imported_is_broken(install: Install) -> None:
    manager = install(FakeEntryPoint("attack-ead", offers(attack(factory="fractions:Missing"))), GOOD)
    with pytest.raises(BrokenPlugin, match="advplug doctor"):
        manager.load("attack:ead")
    assert not manager.failures
    manager.check()
    assert (only_problem(manager).stage, only_problem(manager).entry_point) == ("factory", "attack-ead")


def test_missing_torch_names_the_extra(monkeypatch: pytest.MonkeyPatch, install: Install) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    manager = install(FakeEntryPoint("attack-ead", offers(attack(factory="torch:Tensor"))))
    with pytest.raises(BrokenPlugin, match=r"advplug\[torch\]"):
        manager.load("attack:ead")


def test_collect_keeps_what_the_others_gave() -> None:
    class Good:
        @hookimpl
        def advplug_diagnose(self, job: Any) -> list[str]:
            return [f"finding about {job}"]

    class Raising:
        @hookimpl
        def advplug_diagnose(self) -> list[str]:
            raise ZeroDivisionError

    class Silent:
        @hookimpl
        def advplug_diagnose(self) -> None:
            return None

    class Wrapping:
        @hookimpl(wrapper=True)
        def advplug_diagnose(self) -> Any:
            return (yield)

    manager = Manager(plugins=[Raising(), Good(), Silent(), Good(), Wrapping()])
    findings = manager.collect("advplug_diagnose", of=str, job="j", evaluation=None)
    assert findings == ["finding about j", "finding about j"]
    assert sorted(problem.distribution for problem in manager.failures) == ["raising", "wrapping"]


def test_given_modules_are_named_after_their_distribution() -> None:
    module = ModuleType("advplug_attack_ead")
    module.advplug_attacks = hookimpl(lambda: [attack()])  # type: ignore[attr-defined]
    assert Manager(plugins=[module]).provenance("attack:ead").distribution == "advplug-attack-ead"


def test_adaptive_specs_keep_their_type() -> None:
    spec = AdaptiveSpec(name="x", factory="a:b", summary="s", reference="-", breaks="x", uses_attacks=("pgd",))
    plugin = SimpleNamespace(advplug_adaptive=hookimpl(lambda: [spec]))
    assert [found.breaks for found in Manager(plugins=[plugin]).specs("adaptive")] == ["x"]


def test_check_reports_an_adaptive_attack_without_its_defense() -> None:
    spec = AdaptiveSpec(name="x", factory="fractions:Fraction", summary="s", reference="-", breaks="y")
    manager = Manager(plugins=[SimpleNamespace(advplug_adaptive=hookimpl(lambda: [spec]))])
    manager.check()
    assert only_problem(manager).stage == "pair"
    assert "pip install advplug-defense-y" in only_problem(manager).error


def test_load_uses_the_chosen_manager() -> None:
    manager = Manager(plugins=[offers(attack())])
    with using(manager):
        assert default_manager() is manager
        assert advplug.load("attack:ead").__name__ == "Fraction"
    assert default_manager() is not manager
    assert default_manager() is default_manager()


def test_metadata_that_cannot_be_read_does_not_hide_the_others(install: Install) -> None:
    entry = FakeEntryPoint("attack-ead", offers(attack()))
    entry.dist = SimpleNamespace(read_text=lambda name: "[]", locate_file=str)  # type: ignore[assignment]
    manager = install(entry, GOOD)
    assert manager.provenance("attack:ead").distribution == "unknown"
    assert manager.find("attack:pgd")
