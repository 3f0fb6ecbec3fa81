"""The attacks of Carlini and Wagner as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AttackSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_attack_cw._l0 import CarliniWagnerL0
    from advplug_attack_cw._l2 import CarliniWagnerL2
    from advplug_attack_cw._linf import CarliniWagnerLinf

PAPER = "Towards Evaluating the Robustness of Neural Networks, IEEE S&P 2017 (1608.04644)"

__all__ = ["CarliniWagnerL0", "CarliniWagnerL2", "CarliniWagnerLinf", "advplug_attacks"]

__getattr__ = lazily(__name__, {"CarliniWagnerL0": "._l0", "CarliniWagnerL2": "._l2", "CarliniWagnerLinf": "._linf"})


@hookimpl
def advplug_attacks() -> list[AttackSpec]:
    """Name the attacks; torch is imported when one is loaded."""
    return [
        AttackSpec(
            name="cw",
            factory="advplug_attack_cw._l2:CarliniWagnerL2",
            summary="Carlini and Wagner under L2: Adam in the variable of a tanh, a constant searched for each sample",
            reference=PAPER,
            tags=frozenset({"l2", "targeted", "minimum-norm"}),
        ),
        AttackSpec(
            name="cw-l0",
            factory="advplug_attack_cw._l0:CarliniWagnerL0",
            summary="Carlini and Wagner under L0: repeats the L2 attack on fewer and fewer values or pixels",
            reference=PAPER,
            tags=frozenset({"l0", "targeted", "minimum-norm"}),
        ),
        AttackSpec(
            name="cw-linf",
            factory="advplug_attack_cw._linf:CarliniWagnerLinf",
            summary="Carlini and Wagner under Linf: a penalty for all values that moved farther than a shrinking bound",
            reference=PAPER,
            tags=frozenset({"linf", "targeted", "minimum-norm"}),
        ),
    ]
