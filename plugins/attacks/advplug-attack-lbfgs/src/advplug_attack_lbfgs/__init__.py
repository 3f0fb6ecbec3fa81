"""The L-BFGS attack as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AttackSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_attack_lbfgs._lbfgs import LBFGS

__all__ = ["LBFGS", "advplug_attacks"]

__getattr__ = lazily(__name__, {"LBFGS": "._lbfgs"})


@hookimpl
def advplug_attacks() -> list[AttackSpec]:
    """Name the attack; torch is imported when it is loaded."""
    return [
        AttackSpec(
            name="lbfgs",
            factory="advplug_attack_lbfgs._lbfgs:LBFGS",
            summary="Box-constrained L-BFGS on squared L2 distance plus weighted loss, bisection over the weight",
            reference="Intriguing properties of neural networks, ICLR 2014 (1312.6199)",
            tags=frozenset({"l2", "targeted", "minimum-norm"}),
        )
    ]
