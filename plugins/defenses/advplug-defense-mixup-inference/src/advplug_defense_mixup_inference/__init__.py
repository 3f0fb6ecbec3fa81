"""Mixup inference as an advplug plugin."""

from __future__ import annotations

from advplug import DefenseSpec, hookimpl


@hookimpl
def advplug_defenses() -> list[DefenseSpec]:
    """Name the defense; torch is imported when it is loaded."""
    return [
        DefenseSpec(
            name="mixup-inference",
            factory="advplug_defense_mixup_inference._defense:MixupInference",
            summary="Averages the answers to random mixtures of the input with images of other classes",
            reference="Pang, Xu and Zhu, Mixup Inference: Better Exploiting Mixup to Defend Adversarial Attacks, "
            "ICLR 2020 (1909.11515)",
            tags=frozenset({"linf", "randomised", "white-box"}),
        )
    ]
