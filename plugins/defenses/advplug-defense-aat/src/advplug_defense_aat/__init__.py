"""Asymmetrical adversarial training as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import DefenseSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_defense_aat._defense import AAT
    from advplug_defense_aat._detectors import Detectors
    from advplug_defense_aat._model import Generative, Integrated, OneClassModel

__all__ = ["AAT", "Detectors", "Generative", "Integrated", "OneClassModel", "advplug_defenses"]

_MODELS = ("Generative", "Integrated", "OneClassModel")
__getattr__ = lazily(__name__, {"AAT": "._defense", "Detectors": "._detectors", **dict.fromkeys(_MODELS, "._model")})


@hookimpl
def advplug_defenses() -> list[DefenseSpec]:
    """Name the defense; torch is imported when it is loaded."""
    return [
        DefenseSpec(
            name="aat",
            factory="advplug_defense_aat._defense:AAT",
            summary="One adversarially trained detector for each class rejects what looks unlike its class",
            reference="Yin, Kolouri and Rohde, GAT: Generative Adversarial Training for Adversarial Example Detection "
            "and Robust Classification, ICLR 2020 (1905.11475)",
            tags=frozenset({"linf", "detector", "adversarial-training", "white-box"}),
        )
    ]
