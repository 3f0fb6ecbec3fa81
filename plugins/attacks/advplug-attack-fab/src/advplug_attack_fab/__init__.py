"""The fast adaptive boundary attack as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AttackSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_attack_fab._fab import FAB

__all__ = ["FAB", "advplug_attacks"]

__getattr__ = lazily(__name__, {"FAB": "._fab"})


@hookimpl
def advplug_attacks() -> list[AttackSpec]:
    """Name the attack; torch is imported when it is loaded."""
    return [
        AttackSpec(
            name="fab",
            factory="advplug_attack_fab._fab:FAB",
            summary="Fast adaptive boundary attack: projections to linearised boundaries, close to the input",
            reference="Minimally distorted Adversarial Examples with a Fast Adaptive Boundary Attack, ICML 2020 "
            "(1907.02044)",
            tags=frozenset({"linf", "l2", "l1", "targeted", "minimum-norm"}),
        )
    ]
