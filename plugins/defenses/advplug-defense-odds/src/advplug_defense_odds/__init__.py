"""The detector of *The Odds are Odd* as an advplug plugin."""

from __future__ import annotations

from advplug import DefenseSpec, hookimpl


@hookimpl
def advplug_defenses() -> list[DefenseSpec]:
    """Name the defense; torch is imported when it is loaded."""
    return [
        DefenseSpec(
            name="odds",
            factory="advplug_defense_odds._defense:Odds",
            summary="Detector that rejects inputs whose logits drift under noise unlike those of clean images",
            reference="Roth et al., The Odds are Odd: A Statistical Test for Detecting Adversarial Examples, ICML 2019",
            tags=frozenset({"linf", "detector", "stochastic", "white-box"}),
        )
    ]
