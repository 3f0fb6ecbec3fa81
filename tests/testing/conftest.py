"""Plugins in memory: sound ones, and bad ones, one for each check."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from advplug import (
    AdaptiveSpec,
    AttackSpec,
    CriterionSpec,
    DatasetSpec,
    DefenseSpec,
    GradientSpec,
    LossSpec,
    TrackerSpec,
    hookimpl,
)
from advplug.plugins.manager import Manager

HERE = str(Path(__file__).parent)
MODULES = {
    "attack": "attacks", "defense": "defenses", "adaptive": "adaptive", "data": "data", "tracker": "trackers",
    "loss": "losses", "gradient": "gradients", "criterion": "criteria",
}  # fmt: skip
NAMES = {
    "attack": "steps", "defense": "net", "adaptive": "net", "data": "squares", "tracker": "text", "loss": "gap",
    "gradient": "shaken", "criterion": "far-off",
}  # fmt: skip
"""Names of the sound plugins; a case has the name of its defense."""

sys.path.insert(0, HERE)  # so that factories of badplugins can be imported


class Plugin:
    """The specs of one attack, defense, adaptive attack and data set; ``changes`` by kind."""

    def __init__(self, **changes: dict[str, Any]) -> None:
        self.changes = changes

    def fields(self, kind: str, **more: Any) -> dict[str, Any]:
        factory = f"badplugins.{MODULES[kind]}:Good"
        fields = {"name": NAMES[kind], "factory": factory, "summary": "a test plugin", "reference": "Made for a test"}
        return {**fields, **more, **self.changes.get(kind, {})}

    @hookimpl
    def advplug_attacks(self) -> list[AttackSpec]:
        return [AttackSpec(**self.fields("attack"))]

    @hookimpl
    def advplug_defenses(self) -> list[DefenseSpec]:
        return [DefenseSpec(**self.fields("defense"))]

    @hookimpl
    def advplug_adaptive(self) -> list[AdaptiveSpec]:
        return [AdaptiveSpec(**self.fields("adaptive", breaks="net", uses_attacks=("steps",)))]

    @hookimpl
    def advplug_datasets(self) -> list[DatasetSpec]:
        return [DatasetSpec(**self.fields("data", tags=frozenset({"shipped"})))]

    @hookimpl
    def advplug_trackers(self) -> list[TrackerSpec]:
        return [TrackerSpec(**self.fields("tracker"))]

    @hookimpl
    def advplug_losses(self) -> list[LossSpec]:
        return [LossSpec(**self.fields("loss"))]

    @hookimpl
    def advplug_gradients(self) -> list[GradientSpec]:
        return [GradientSpec(**self.fields("gradient"))]

    @hookimpl
    def advplug_criteria(self) -> list[CriterionSpec]:
        return [CriterionSpec(**self.fields("criterion"))]


MakeManager = Callable[..., Manager]


@pytest.fixture(scope="session")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> MakeManager:
    """``plugins(attack={"factory": "badplugins.attacks:Overshoots"})``: a manager of sound plugins but for that."""
    from badplugins import defenses

    defenses.equip(tmp_path_factory.mktemp("weights"))
    return lambda **changes: Manager(plugins=[Plugin(**changes)])
