"""Attacks on decisions alone as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AttackSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_attack_decision._boundary import Boundary
    from advplug_attack_decision._geoda import GeoDA
    from advplug_attack_decision._hopskipjump import HopSkipJump
    from advplug_attack_decision._rays import RayS
    from advplug_attack_decision._sign_opt import SignOPT

__all__ = ["Boundary", "GeoDA", "HopSkipJump", "RayS", "SignOPT", "advplug_attacks"]

__getattr__ = lazily(
    __name__,
    {
        "Boundary": "._boundary",
        "GeoDA": "._geoda",
        "HopSkipJump": "._hopskipjump",
        "RayS": "._rays",
        "SignOPT": "._sign_opt",
    },
)


@hookimpl
def advplug_attacks() -> list[AttackSpec]:
    """Name the attacks; torch is imported when one is loaded."""
    return [
        AttackSpec(
            name="boundary",
            factory="advplug_attack_decision._boundary:Boundary",
            summary="the Boundary Attack under L2: a random walk along the decision boundary, from decisions only",
            reference=(
                "Decision-Based Adversarial Attacks: Reliable Attacks Against Black-Box Machine Learning Models, "
                "ICLR 2018 (1712.04248)"
            ),
            tags=frozenset({"l2", "targeted", "minimum-norm", "decision-based"}),
        ),
        AttackSpec(
            name="hopskipjump",
            factory="advplug_attack_decision._hopskipjump:HopSkipJump",
            summary="HopSkipJump under L2 and Linf: along the boundary by estimates of its normal, from decisions only",
            reference="HopSkipJumpAttack: A Query-Efficient Decision-Based Attack, IEEE S&P 2020 (1904.02144)",
            tags=frozenset({"l2", "linf", "targeted", "minimum-norm", "decision-based"}),
        ),
        AttackSpec(
            name="rays",
            factory="advplug_attack_decision._rays:RayS",
            summary="RayS under Linf: the corner of the ball whose ray meets the boundary first, from decisions only",
            reference="RayS: A Ray Searching Method for Hard-label Adversarial Attack, KDD 2020 (2006.12792)",
            tags=frozenset({"linf", "targeted", "minimum-norm", "decision-based"}),
        ),
        AttackSpec(
            name="geoda",
            factory="advplug_attack_decision._geoda:GeoDA",
            summary="GeoDA under L2, Linf and L1: straight to a plane that stands for the boundary, from decisions",
            reference="GeoDA: a geometric framework for black-box adversarial attacks, CVPR 2020 (2003.06468)",
            tags=frozenset({"l2", "linf", "l1", "targeted", "minimum-norm", "decision-based"}),
        ),
        AttackSpec(
            name="sign-opt",
            factory="advplug_attack_decision._sign_opt:SignOPT",
            summary="Sign-OPT under L2 and Linf: descent on the distance to the boundary, from decisions only",
            reference="Sign-OPT: A Query-Efficient Hard-label Adversarial Attack, ICLR 2020 (1909.10773)",
            tags=frozenset({"l2", "linf", "targeted", "minimum-norm", "decision-based"}),
        ),
    ]
