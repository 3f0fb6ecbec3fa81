"""Primal-dual (proximal) gradient descent as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AttackSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_attack_pdpgd._pdpgd import PDPGD

__all__ = ["PDPGD", "advplug_attacks"]

__getattr__ = lazily(__name__, {"PDPGD": "._pdpgd"})


@hookimpl
def advplug_attacks() -> list[AttackSpec]:
    """Name the attack; torch is imported when it is loaded."""
    return [
        AttackSpec(
            name="pdpgd",
            factory="advplug_attack_pdpgd._pdpgd:PDPGD",
            summary="Small perturbations under Linf, L2, L1 and L0 by primal-dual (proximal) gradient descent",
            reference="PDPGD: Primal-Dual Proximal Gradient Descent Adversarial Attack, 2021 (2106.01538)",
            tags=frozenset({"linf", "l2", "l1", "l0", "targeted", "minimum-norm"}),
        )
    ]
