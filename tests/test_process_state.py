"""What a plugin's import changes in the whole process is put back, and the plugin is named."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from advplug import AttackSpec, hookimpl
from advplug.cli import run
from advplug.errors import BrokenPlugin
from advplug.plugins.discovery import Candidate, Provenance
from advplug.plugins.host import PluginFailure
from advplug.plugins.manager import Manager, using
from advplug.plugins.process_state import kept

CHANGES: dict[str, Callable[[], Any]] = {
    "torch's grad mode": lambda: torch.set_grad_enabled(False),
    "torch's default dtype": lambda: torch.set_default_dtype(torch.float64),
    "torch's default device": lambda: torch.set_default_device("meta"),
    "torch's deterministic algorithms": lambda: torch.use_deterministic_algorithms(True, warn_only=True),
    "torch's cudnn.benchmark": lambda: setattr(torch.backends.cudnn, "benchmark", not torch.backends.cudnn.benchmark),
    "torch's cudnn.deterministic": lambda: setattr(torch.backends.cudnn, "deterministic", True),
    "torch's number of threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "torch's random state": lambda: torch.manual_seed(20111),
    "NumPy's random state": lambda: np.random.seed(20111),  # as no other test seeds it
    "Python's random state": lambda: random.seed(20111),
}


def state() -> dict[str, Any]:
    return {
        "torch's grad mode": torch.is_grad_enabled(),
        "torch's default dtype": torch.get_default_dtype(),
        "torch's default device": str(torch.empty(0).device),
        "torch's deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "torch's cudnn.benchmark": torch.backends.cudnn.benchmark,
        "torch's cudnn.deterministic": torch.backends.cudnn.deterministic,
        "torch's number of threads": torch.get_num_threads(),
        "torch's random state": torch.get_rng_state().tolist(),
        "NumPy's random state": np.random.get_state()[1].tolist(),  # type: ignore[index, union-attr]
        "Python's random state": random.getstate(),
    }


@pytest.fixture(autouse=True)
def unchanged() -> Iterator[None]:
    """Other tests keep their settings whatever happens here."""
    with kept():
        yield


def plugin(import_it: Callable[[], Any]) -> Candidate:
    """An installed plugin ``attack:loud`` whose module does ``import_it``."""

    class Loud:
        @hookimpl
        def advplug_attacks(self) -> list[AttackSpec]:
            return [AttackSpec(name="loud", factory="loud_parts:Loud", summary="s", reference="r")]

    def load() -> object:
        import_it()
        return Loud()

    return Candidate(Provenance(distribution="advplug-attack-loud", version="1.2", entry_point="attack-loud"), load)


def manager_of(monkeypatch: pytest.MonkeyPatch, import_it: Callable[[], Any]) -> Manager:
    monkeypatch.setattr("advplug.plugins.manager.installed", lambda: iter([plugin(import_it)]))
    return Manager()


def parts(monkeypatch: pytest.MonkeyPatch, import_it: Callable[[], Any]) -> None:
    """A module ``loud_parts`` that does ``import_it`` where its class is looked up, as a lazy module does."""

    class Parts(ModuleType):
        @property
        def Loud(self) -> type:  # noqa: N802
            import_it()
            return int

    monkeypatch.setitem(sys.modules, "loud_parts", Parts("loud_parts"))


@pytest.mark.parametrize("name", CHANGES)
def test_an_import_that_changes_it(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    before = state()
    manager = manager_of(monkeypatch, CHANGES[name])
    assert state() == before
    (warning,) = manager.failures
    assert warning == PluginFailure(
        distribution="advplug-attack-loud", version="1.2", entry_point="attack-loud", stage="import",
        error=f"changed {name} on import; restored", severity="warning",
    )  # fmt: skip
    assert manager.errors == []
    assert manager.find("attack:loud").name == "loud", "the plugin stays usable"


@pytest.mark.parametrize("name", CHANGES)
def test_a_factory_that_changes_it(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    parts(monkeypatch, CHANGES[name])
    manager = manager_of(monkeypatch, lambda: None)
    before = state()
    assert manager.load("attack:loud") is int
    assert manager.load("attack:loud") is int
    assert state() == before
    manager.check()
    (warning,) = manager.failures
    assert (warning.stage, warning.error) == ("factory", f"changed {name} on import; restored"), "and is told once"


def test_doctor_shows_a_warning_and_no_problem(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parts(monkeypatch, lambda: None)
    with using(manager_of(monkeypatch, CHANGES["torch's default dtype"])):
        assert run(["doctor"]) == 0
        assert capsys.readouterr().out == (
            "advplug-attack-loud 1.2 [attack-loud] import (warning)\n"
            "changed torch's default dtype on import; restored\n\n"
            "0 problems, 1 warning, 1 plugins ready\n"
        )
        assert run(["list"]) == 0
        assert capsys.readouterr().err == ""


def test_several_changes_are_one_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def change() -> None:
        for one in CHANGES.values():
            one()

    before = state()
    (warning,) = manager_of(monkeypatch, change).failures
    assert state() == before
    assert all(name in warning.error for name in CHANGES)


def test_an_import_that_fails_leaves_nothing_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    def change() -> None:
        torch.set_default_dtype(torch.float64)
        raise ImportError("no licence")

    manager = manager_of(monkeypatch, change)
    assert torch.get_default_dtype() == torch.float32
    (failure,) = manager.failures
    assert (failure.severity, failure.error) == ("error", "ImportError: no licence")


def test_an_import_that_changes_nothing_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def quiet() -> None:
        with torch.no_grad():
            torch.rand(2, generator=torch.Generator())
        [random.random() for _ in range(700)]  # as libraries do for names of temporary files

    before = random.getstate()
    assert manager_of(monkeypatch, quiet).failures == []
    assert random.getstate() == before


def test_numbers_drawn_at_import_cost_the_user_none(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    (warning,) = manager_of(monkeypatch, lambda: torch.rand(7)).failures
    assert "torch's random state" in warning.error
    assert torch.equal(torch.rand(3), expected)


def test_what_the_caller_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.no_grad():
        assert manager_of(monkeypatch, lambda: torch.set_grad_enabled(True)).failures
        assert not torch.is_grad_enabled()


def test_strict_stops_at_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADVPLUG_STRICT", "1")
    with pytest.raises(BrokenPlugin, match=r"advplug-attack-loud:attack-loud 1.2 fails at import: .*changed torch's"):
        manager_of(monkeypatch, CHANGES["torch's default dtype"])
    assert torch.get_default_dtype() == torch.float32
