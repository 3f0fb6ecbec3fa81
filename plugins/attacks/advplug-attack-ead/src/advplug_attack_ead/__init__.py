"""The elastic-net attack as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AttackSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_attack_ead._ead import EAD

__all__ = ["EAD", "advplug_attacks"]

__getattr__ = lazily(__name__, {"EAD": "._ead"})


@hookimpl
def advplug_attacks() -> list[AttackSpec]:
    """Name the attack; torch is imported when it is loaded."""
    return [
        AttackSpec(
            name="ead",
            factory="advplug_attack_ead._ead:EAD",
            summary="Elastic-net attack: sparse perturbations of small L1 norm, by FISTA or ISTA",
            reference="EAD: Elastic-Net Attacks to Deep Neural Networks, AAAI 2018 (1709.04114)",
            tags=frozenset({"l1", "l2", "targeted", "minimum-norm"}),
        )
    ]
