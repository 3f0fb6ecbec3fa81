"""Interpolation between input and adversarial point as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AttackSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_attack_interpolation._interpolation import Interpolation

__all__ = ["Interpolation", "advplug_attacks"]

__getattr__ = lazily(__name__, {"Interpolation": "._interpolation"})


@hookimpl
def advplug_attacks() -> list[AttackSpec]:
    """Name the attack; torch is imported when it is loaded."""
    return [
        AttackSpec(
            name="interpolation",
            factory="advplug_attack_interpolation._interpolation:Interpolation",
            summary="Bisection between the input and an adversarial point until a detector accepts the point",
            reference="On Adaptive Attacks to Adversarial Example Defenses, NeurIPS 2020, appendix N (2002.08347)",
            tags=frozenset({"linf", "l2", "l1", "l0", "targeted", "fixed-budget", "detector"}),
        )
    ]
