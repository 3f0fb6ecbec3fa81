"""The elastic-net attack as an advplug plugin."""

from __future__ import annotations

from advplug import AttackSpec, hookimpl


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
