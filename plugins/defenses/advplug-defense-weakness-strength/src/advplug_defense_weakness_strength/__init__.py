"""The detector of *Turning a Weakness into a Strength* as an advplug plugin."""

from __future__ import annotations

from advplug import DefenseSpec, hookimpl


@hookimpl
def advplug_defenses() -> list[DefenseSpec]:
    """Name the defense; torch is imported when it is loaded."""
    return [
        DefenseSpec(
            name="weakness-strength",
            factory="advplug_defense_weakness_strength._defense:WeaknessStrengthDefense",
            summary="Detector of inputs that noise moves, or that are far from every boundary in gradient steps",
            reference="A New Defense Against Adversarial Images: Turning a Weakness into a Strength, NeurIPS 2019",
            tags=frozenset({"linf", "detector", "stochastic", "white-box"}),
        )
    ]
