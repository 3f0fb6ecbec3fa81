"""Decoupled direction and norm as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AttackSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_attack_ddn._ddn import DDN

__all__ = ["DDN", "advplug_attacks"]

__getattr__ = lazily(__name__, {"DDN": "._ddn"})


@hookimpl
def advplug_attacks() -> list[AttackSpec]:
    """Name the attack; torch is imported when it is loaded."""
    return [
        AttackSpec(
            name="ddn",
            factory="advplug_attack_ddn._ddn:DDN",
            summary="Decoupled direction and norm: small L2 perturbations in a few hundred steps",
            reference="Decoupling Direction and Norm for Efficient Gradient-Based L2 Adversarial Attacks and Defenses, "
            "CVPR 2019 (1811.09600)",
            tags=frozenset({"l2", "targeted", "minimum-norm"}),
        )
    ]
