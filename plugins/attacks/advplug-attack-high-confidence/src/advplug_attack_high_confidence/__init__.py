"""High-confidence adversarial examples as an advplug plugin; :func:`unrolled` is the form to train through."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AttackSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_attack_high_confidence._high_confidence import HighConfidence
    from advplug_attack_high_confidence._unrolled import closest_targets, unrolled

__all__ = ["HighConfidence", "advplug_attacks", "closest_targets", "unrolled"]

__getattr__ = lazily(
    __name__,
    {"HighConfidence": "._high_confidence", "closest_targets": "._unrolled", "unrolled": "._unrolled"},
)


@hookimpl
def advplug_attacks() -> list[AttackSpec]:
    """Name the attack; torch is imported when it is loaded."""
    return [
        AttackSpec(
            name="high-confidence",
            factory="advplug_attack_high_confidence._high_confidence:HighConfidence",
            summary="Small change after which the model predicts another class with at least a given confidence",
            reference="Improved Network Robustness with Adversary Critic, NeurIPS 2018 (1810.12576)",
            tags=frozenset({"l2", "linf", "targeted", "minimum-norm", "high-confidence"}),
        )
    ]
