"""Logit pairing as an advplug plugin."""

from __future__ import annotations

from advplug import DefenseSpec, hookimpl


@hookimpl
def advplug_defenses() -> list[DefenseSpec]:
    """Name the defense; torch is imported when it is loaded."""
    return [
        DefenseSpec(
            name="logit-pairing",
            factory="advplug_defense_logit_pairing._defense:LogitPairing",
            summary="Clean and adversarial logit pairing, logit squeezing, and adversarial training as a control",
            reference="Kannan et al., Adversarial Logit Pairing, 2018 (1803.06373)",
            tags=frozenset({"linf", "gradient-masking", "regularisation", "white-box"}),
        )
    ]
