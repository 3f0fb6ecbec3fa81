"""Projected gradient descent as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AttackSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_attack_pgd._pgd import PGD

__all__ = ["PGD", "advplug_attacks"]

__getattr__ = lazily(__name__, {"PGD": "._pgd"})


@hookimpl
def advplug_attacks() -> list[AttackSpec]:
    """Name the attack; torch is imported when it is loaded."""
    return [
        AttackSpec(
            name="pgd",
            factory="advplug_attack_pgd._pgd:PGD",
            summary="Projected gradient descent under Linf, L2, L1 and L0, any loss and gradient estimator",
            reference="Towards Deep Learning Models Resistant to Adversarial Attacks, ICLR 2018 (1706.06083)",
            tags=frozenset({"linf", "l2", "l1", "l0", "targeted", "fixed-budget"}),
        )
    ]
