"""Defensive distillation as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import DefenseSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_defense_distillation._defense import Distillation

__all__ = ["Distillation", "advplug_defenses"]

__getattr__ = lazily(__name__, {"Distillation": "._defense"})


@hookimpl
def advplug_defenses() -> list[DefenseSpec]:
    """Name the defense; torch is imported when it is loaded."""
    return [
        DefenseSpec(
            name="distillation",
            factory="advplug_defense_distillation._defense:Distillation",
            summary="Trained on another network's soft labels at a high temperature, deployed at temperature 1",
            reference="Papernot et al., Distillation as a Defense to Adversarial Perturbations against Deep Neural "
            "Networks, S&P 2016 (1511.04508)",
            tags=frozenset({"linf", "gradient-masking", "saturation", "white-box"}),
        )
    ]
