"""The zeroth-order optimisation attack as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AttackSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_attack_zoo._zoo import ZOO

__all__ = ["ZOO", "advplug_attacks"]

__getattr__ = lazily(__name__, {"ZOO": "._zoo"})


@hookimpl
def advplug_attacks() -> list[AttackSpec]:
    """Name the attack; torch is imported when it is loaded."""
    return [
        AttackSpec(
            name="zoo",
            factory="advplug_attack_zoo._zoo:ZOO",
            summary="Carlini and Wagner under L2 from scores only: finite differences along single coordinates",
            reference=(
                "ZOO: Zeroth Order Optimization Based Black-box Attacks to Deep Neural Networks without Training "
                "Substitute Models, AISec 2017 (1708.03999)"
            ),
            tags=frozenset({"l2", "targeted", "minimum-norm", "score-based"}),
        )
    ]
