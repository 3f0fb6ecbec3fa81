"""Minimum-norm attacks of the literature as an advplug plugin: ALMA, SuperDeepFool and the trust-region attack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AttackSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_attack_minimum_norm._alma import ALMA
    from advplug_attack_minimum_norm._superdeepfool import SuperDeepFool
    from advplug_attack_minimum_norm._trust_region import TrustRegion

__all__ = ["ALMA", "SuperDeepFool", "TrustRegion", "advplug_attacks"]

__getattr__ = lazily(__name__, {"ALMA": "._alma", "SuperDeepFool": "._superdeepfool", "TrustRegion": "._trust_region"})


@hookimpl
def advplug_attacks() -> list[AttackSpec]:
    """Name the attacks; torch is imported when one is loaded."""
    return [
        AttackSpec(
            name="alma",
            factory="advplug_attack_minimum_norm._alma:ALMA",
            summary="ALMA: an augmented Lagrangian of the distance and the ratio of logits, under L2 and L1",
            reference="Augmented Lagrangian Adversarial Attacks, ICCV 2021 (2011.11857)",
            tags=frozenset({"l2", "l1", "targeted", "minimum-norm"}),
        ),
        AttackSpec(
            name="superdeepfool",
            factory="advplug_attack_minimum_norm._superdeepfool:SuperDeepFool",
            summary="SuperDeepFool under L2: DeepFool, and from its end back to the foot of the perpendicular",
            reference="SuperDeepFool: a new fast and accurate minimal adversarial attack, NeurIPS 2024 (2303.12481)",
            tags=frozenset({"l2", "targeted", "minimum-norm"}),
        ),
        AttackSpec(
            name="trust-region",
            factory="advplug_attack_minimum_norm._trust_region:TrustRegion",
            summary="Trust region: short steps to one other class, while a linear model holds, under L2 and Linf",
            reference="Trust Region Based Adversarial Attack on Neural Networks, CVPR 2019 (1812.06371)",
            tags=frozenset({"l2", "linf", "targeted", "minimum-norm"}),
        ),
    ]
