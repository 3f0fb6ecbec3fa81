"""The fast minimum-norm attack as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AttackSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_attack_fmn._fmn import FMN

__all__ = ["FMN", "advplug_attacks"]

__getattr__ = lazily(__name__, {"FMN": "._fmn"})


@hookimpl
def advplug_attacks() -> list[AttackSpec]:
    """Name the attack; torch is imported when it is loaded."""
    return [
        AttackSpec(
            name="fmn",
            factory="advplug_attack_fmn._fmn:FMN",
            summary="Fast minimum-norm attack under Linf, L2, L1 and L0, from the input or from adversarial points",
            reference="Fast Minimum-norm Adversarial Attacks through Adaptive Norm Constraints, "
            "NeurIPS 2021 (2102.12827)",
            tags=frozenset({"linf", "l2", "l1", "l0", "targeted", "minimum-norm"}),
        )
    ]
