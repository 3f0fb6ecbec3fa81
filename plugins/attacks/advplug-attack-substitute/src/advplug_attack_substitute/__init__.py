"""The substitute black-box attack as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AttackSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_attack_substitute._substitute import Substitute

__all__ = ["Substitute", "advplug_attacks"]

__getattr__ = lazily(__name__, {"Substitute": "._substitute"})


@hookimpl
def advplug_attacks() -> list[AttackSpec]:
    """Name the attack; torch is imported when it is loaded."""
    return [
        AttackSpec(
            name="substitute",
            factory="advplug_attack_substitute._substitute:Substitute",
            summary="Trains a copy of the model from its predicted classes and attacks the copy with any attack",
            reference="Practical Black-Box Attacks against Machine Learning, ASIA CCS 2017 (1602.02697)",
            tags=frozenset({"linf", "l2", "l1", "targeted", "fixed-budget", "decision-based", "transfer-based"}),
        )
    ]
