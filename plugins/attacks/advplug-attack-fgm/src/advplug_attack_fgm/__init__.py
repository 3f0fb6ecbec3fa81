"""The fast gradient method as an advplug plugin."""

from __future__ import annotations

from advplug import AttackSpec, hookimpl


@hookimpl
def advplug_attacks() -> list[AttackSpec]:
    """Name the attack; torch is imported when it is loaded."""
    return [
        AttackSpec(
            name="fgm",
            factory="advplug_attack_fgm._fgm:FGM",
            summary="Fast gradient method, in one step or several, under Linf, L2 and L1",
            reference="Explaining and Harnessing Adversarial Examples, ICLR 2015 (1412.6572); in steps: 1607.02533",
            tags=frozenset({"linf", "l2", "l1", "targeted", "fixed-budget"}),
        )
    ]
