"""Adversarial patches as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AttackSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_attack_patch._patch import Patch

__all__ = ["Patch", "advplug_attacks"]

__getattr__ = lazily(__name__, {"Patch": "._patch"})


@hookimpl
def advplug_attacks() -> list[AttackSpec]:
    """Name the attack; torch is imported when it is loaded."""
    return [
        AttackSpec(
            name="patch",
            factory="advplug_attack_patch._patch:Patch",
            summary="A square of any content, as large as the L0 budget, at the places where the gradient is largest",
            reference="LaVAN: localized and visible adversarial noise, ICML 2018 (1801.02608)",
            tags=frozenset({"l0", "targeted", "fixed-budget"}),
        )
    ]
