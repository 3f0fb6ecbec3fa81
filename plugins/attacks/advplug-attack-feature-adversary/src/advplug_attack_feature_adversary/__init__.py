"""The feature adversary as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AttackSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_attack_feature_adversary._attack import FeatureAdversary

__all__ = ["FeatureAdversary", "advplug_attacks"]

__getattr__ = lazily(__name__, {"FeatureAdversary": "._attack"})


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
