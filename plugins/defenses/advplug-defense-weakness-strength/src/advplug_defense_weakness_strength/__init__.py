"""The detector of *Turning a Weakness into a Strength* as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import DefenseSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_defense_weakness_strength._defense import WeaknessStrengthDefense
    from advplug_defense_weakness_strength._model import WeaknessStrength

__all__ = ["WeaknessStrength", "WeaknessStrengthDefense", "advplug_defenses"]

__getattr__ = lazily(__name__, {"WeaknessStrength": "._model", "WeaknessStrengthDefense": "._defense"})


@hookimpl
def advplug_defenses() -> list[DefenseSpec]:
    """Name the defense; torch is imported when it is loaded."""
    return [
        DefenseSpec(
            name="weakness-strength",
            factory="advplug_defense_weakness_strength._defense:WeaknessStrengthDefense",
            summary="Detector: rejects inputs that noise changes or that are many gradient steps from other classes",
            reference="A New Defense Against Adversarial Images: Turning a Weakness into a Strength, NeurIPS 2019",
            tags=frozenset({"linf", "detector", "stochastic", "white-box"}),
        )
    ]
