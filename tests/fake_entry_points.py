"""Entry points of plugins that are not installed, whose import a test can make fail and count."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import metadata
from typing import Any

import pytest

from advplug import AttackSpec, hookimpl
from advplug.plugins.manager import Manager


class FakeDistribution:
    def __init__(self, name: str, version: str = "0.1.0", direct_url: str | None = None) -> None:
        self.metadata = {"Name": name, "Version": version}
        self.direct_url = direct_url

    def read_text(self, filename: str) -> str | None:
        return self.direct_url if filename == "direct_url.json" else None

    def locate_file(self, path: str) -> str:
        return f"site-packages/{path}"


class FakeEntryPoint:
    """An entry point whose import is a function, so that a test can make it fail and count it."""

    def __init__(self, name: str, plugin: Any, distribution: str | None = None, **fields: Any) -> None:
        self.name, self.plugin, self.loaded = name, plugin, 0
        self.dist = FakeDistribution(distribution or f"advplug-{name}", **fields)

    def load(self) -> Any:
        self.loaded += 1
        if isinstance(self.plugin, BaseException):
            raise self.plugin
        return self.plugin


def attack(name: str = "ead", **fields: Any) -> AttackSpec:
    return AttackSpec(
        **{"name": name, "factory": "fractions:Fraction", "summary": f"{name} attack", "reference": "-", **fields}
    )


def offers(*specs: Any) -> Any:
    """A plugin that brings these through ``advplug_attacks``."""

    class Plugin:
        @hookimpl
        def advplug_attacks(self) -> Iterable[Any]:
            return specs

    return Plugin()


GOOD = FakeEntryPoint("attack-pgd", offers(attack("pgd")))


def only_problem(manager: Manager) -> Any:
    (problem,) = manager.failures
    return problem


Install = Callable[..., Manager]


def installer(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Makes the manager of the entry points that it is given, without the switches of the environment."""
    for name in ("ADVPLUG_DISABLE", "ADVPLUG_PLUGINS", "ADVPLUG_STRICT", "ADVPLUG_TRACE"):
        monkeypatch.delenv(name, raising=False)

    def make(*entries: FakeEntryPoint) -> Manager:
        monkeypatch.setattr(metadata, "entry_points", lambda group: list(entries) if group == "advplug" else [])
        return Manager()

    return make
