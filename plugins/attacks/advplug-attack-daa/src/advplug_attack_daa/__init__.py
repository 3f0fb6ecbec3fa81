"""The distributionally adversarial attack as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AttackSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_attack_daa._daa import DAA

__all__ = ["DAA", "advplug_attacks"]

__getattr__ = lazily(__name__, {"DAA": "._daa"})


@hookimpl
def advplug_attacks() -> list[AttackSpec]:
    """Name the attack; torch is imported when it is loaded."""
    return [
        AttackSpec(
            name="daa",
            factory="advplug_attack_daa._daa:DAA",
            summary="Distributionally adversarial attack under Linf: several points of a sample attract and repel",
            reference="Distributionally adversarial attack, AAAI 2019 (1808.05537)",
            tags=frozenset({"linf", "targeted", "fixed-budget"}),
        )
    ]
