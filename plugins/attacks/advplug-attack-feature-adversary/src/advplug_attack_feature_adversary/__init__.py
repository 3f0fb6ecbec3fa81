"""The feature adversary as an advplug plugin."""

from __future__ import annotations

from advplug import AttackSpec, hookimpl


@hookimpl
def advplug_attacks() -> list[AttackSpec]:
    """Name the attack; torch is imported when it is loaded."""
    return [
        AttackSpec(
            name="feature-adversary",
            factory="advplug_attack_feature_adversary._attack:FeatureAdversary",
            summary="Changes an image until a layer represents it like a guide, an image of another class",
            reference="Adversarial Manipulation of Deep Representations, ICLR 2016 (1511.05122)",
            tags=frozenset({"linf", "l2", "targeted", "fixed-budget"}),
        )
    ]
