"""The Brendel & Bethge attack as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AttackSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_attack_brendel_bethge._attack import BrendelBethge

__all__ = ["BrendelBethge", "advplug_attacks"]

__getattr__ = lazily(__name__, {"BrendelBethge": "._attack"})


@hookimpl
def advplug_attacks() -> list[AttackSpec]:
    """Name the attack; torch is imported when it is loaded."""
    return [
        AttackSpec(
            name="brendel-bethge",
            factory="advplug_attack_brendel_bethge._attack:BrendelBethge",
            summary="Brendel & Bethge: along the decision boundary to its nearest point, in trust regions",
            reference="Accurate, reliable and fast robustness evaluation, NeurIPS 2019 (1907.01003)",
            tags=frozenset({"linf", "l2", "l1", "l0", "targeted", "minimum-norm"}),
        )
    ]
