"""Mixup inference as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import DefenseSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_defense_mixup_inference._defense import MixupInference
    from advplug_defense_mixup_inference._model import Mixing, Unmixed

__all__ = ["Mixing", "MixupInference", "Unmixed", "advplug_defenses"]

__getattr__ = lazily(__name__, {"Mixing": "._model", "MixupInference": "._defense", "Unmixed": "._model"})


@hookimpl
def advplug_defenses() -> list[DefenseSpec]:
    """Name the defense; torch is imported when it is loaded."""
    return [
        DefenseSpec(
            name="mixup-inference",
            factory="advplug_defense_mixup_inference._defense:MixupInference",
            summary="Averages the answers to random mixtures of the input with images of other classes",
            reference="Pang, Xu and Zhu, Mixup Inference: Better Exploiting Mixup to Defend Adversarial Attacks, "
            "ICLR 2020 (1909.11515)",
            tags=frozenset({"linf", "randomised", "white-box"}),
        )
    ]
