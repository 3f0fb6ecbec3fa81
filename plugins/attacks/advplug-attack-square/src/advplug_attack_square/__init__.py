"""Square Attack as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AttackSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_attack_square._square import Square

__all__ = ["Square", "advplug_attacks"]

__getattr__ = lazily(__name__, {"Square": "._square"})


@hookimpl
def advplug_attacks() -> list[AttackSpec]:
    """Name the attack; torch is imported when it is loaded."""
    return [
        AttackSpec(
            name="square",
            factory="advplug_attack_square._square:Square",
            summary="Square Attack under Linf and L2: random search from scores only",
            reference=(
                "Square Attack: a query-efficient black-box adversarial attack via random search, "
                "ECCV 2020 (1912.00049)"
            ),
            tags=frozenset({"linf", "l2", "targeted", "fixed-budget", "score-based"}),
        )
    ]
