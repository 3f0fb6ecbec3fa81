"""The temporal-dependency detector for speech recognition as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import DefenseSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_defense_temporal_dependency._defense import TemporalDependencyDefense
    from advplug_defense_temporal_dependency._model import TemporalDependency

__all__ = ["TemporalDependency", "TemporalDependencyDefense", "advplug_defenses"]

__getattr__ = lazily(__name__, {"TemporalDependency": "._model", "TemporalDependencyDefense": "._defense"})


@hookimpl
def advplug_defenses() -> list[DefenseSpec]:
    """Name the defense; torch is imported when it is loaded."""
    return [
        DefenseSpec(
            name="temporal-dependency",
            factory="advplug_defense_temporal_dependency._defense:TemporalDependencyDefense",
            summary="Detector: rejects speech whose beginning, transcribed alone, reads otherwise than in the whole",
            reference="Characterizing Audio Adversarial Examples Using Temporal Dependency, ICLR 2019",
            tags=frozenset({"linf", "detector", "speech", "sequences", "white-box"}),
        )
    ]
