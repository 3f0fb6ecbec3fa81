"""Auto-PGD as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AttackSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_attack_apgd._apgd import APGD

__all__ = ["APGD", "advplug_attacks"]

__getattr__ = lazily(__name__, {"APGD": "._apgd"})


@hookimpl
def advplug_attacks() -> list[AttackSpec]:
    """Name the attack; torch is imported when it is loaded."""
    return [
        AttackSpec(
            name="apgd",
            factory="advplug_attack_apgd._apgd:APGD",
            summary="Auto-PGD under Linf, L2 and L1: adapts its step size; any loss and gradient estimator",
            reference=(
                "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free attacks, "
                "ICML 2020 (2003.01690); L1: Mind the box, ICML 2021 (2103.01208)"
            ),
            tags=frozenset({"linf", "l2", "l1", "targeted", "fixed-budget"}),
        )
    ]
