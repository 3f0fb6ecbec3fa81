"""Sparse descent under L1 as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AttackSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_attack_slide._slide import SLIDE

__all__ = ["SLIDE", "advplug_attacks"]

__getattr__ = lazily(__name__, {"SLIDE": "._slide"})


@hookimpl
def advplug_attacks() -> list[AttackSpec]:
    """Name the attack; torch is imported when it is loaded."""
    return [
        AttackSpec(
            name="slide",
            factory="advplug_attack_slide._slide:SLIDE",
            summary="SLIDE: projected descent under L1 that moves the values of the largest gradients",
            reference="Adversarial Training and Robustness for Multiple Perturbations, NeurIPS 2019 (1904.13000)",
            tags=frozenset({"l1", "targeted", "fixed-budget"}),
        )
    ]
