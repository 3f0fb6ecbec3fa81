"""The automatic adaptive attack, as one advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AttackSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_attack_auto._auto import Auto

__all__ = ["Auto", "advplug_attacks"]

__getattr__ = lazily(__name__, {"Auto": "._auto"})


@hookimpl
def advplug_attacks() -> list[AttackSpec]:
    """Name the attack; torch is imported when it is loaded."""
    return [
        AttackSpec(
            name="auto",
            factory="advplug_attack_auto._auto:Auto",
            summary="The standard suite, then the attack, loss, gradient and targets that a search finds for the model",
            reference=("Automated discovery of adaptive attacks on adversarial defenses, NeurIPS 2021 (2102.11860)"),
            tags=frozenset({"linf", "l2", "l1", "targeted", "fixed-budget"}),
        )
    ]
