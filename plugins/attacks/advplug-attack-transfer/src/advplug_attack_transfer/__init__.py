"""Transfer from undefended models as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AttackSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_attack_transfer._transfer import Transfer

__all__ = ["Transfer", "advplug_attacks"]

__getattr__ = lazily(__name__, {"Transfer": "._transfer"})


@hookimpl
def advplug_attacks() -> list[AttackSpec]:
    """Name the attack; torch is imported when it is loaded."""
    return [
        AttackSpec(
            name="transfer",
            factory="advplug_attack_transfer._transfer:Transfer",
            summary="Runs any attack on an ensemble of other models; the model under attack only judges the results",
            reference="Delving into Transferable Adversarial Examples and Black-box Attacks, ICLR 2017 (1611.02770); "
            "Attacking the Madry Defense Model with L1-based Adversarial Examples, ICLR 2018 workshop (1710.10733)",
            tags=frozenset({"linf", "l2", "l1", "l0", "targeted", "fixed-budget", "transfer-based"}),
        )
    ]
