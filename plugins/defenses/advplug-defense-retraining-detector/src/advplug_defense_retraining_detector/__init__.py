"""A detector retrained on adversarial images, as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import DefenseSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_defense_retraining_detector._attacks import (
        LOSSES,
        StudiedLoss,
        attacked,
        gradient_steps,
        wrong_classes,
    )
    from advplug_defense_retraining_detector._defense import RetrainingDetector, genuine_and_adversarial
    from advplug_defense_retraining_detector._model import Detected, Detector

__all__ = [
    "LOSSES",
    "Detected",
    "Detector",
    "RetrainingDetector",
    "StudiedLoss",
    "advplug_defenses",
    "attacked",
    "genuine_and_adversarial",
    "gradient_steps",
    "wrong_classes",
]

_ATTACKS = ("LOSSES", "StudiedLoss", "attacked", "gradient_steps", "wrong_classes")
_DEFENSE = ("RetrainingDetector", "genuine_and_adversarial")
__getattr__ = lazily(
    __name__,
    {
        **dict.fromkeys(_ATTACKS, "._attacks"),
        **dict.fromkeys(_DEFENSE, "._defense"),
        **dict.fromkeys(("Detected", "Detector"), "._model"),
    },
)


@hookimpl
def advplug_defenses() -> list[DefenseSpec]:
    """Name the defense; torch is imported when it is loaded."""
    return [
        DefenseSpec(
            name="retraining-detector",
            factory="advplug_defense_retraining_detector._defense:RetrainingDetector",
            summary="Detector: a second network, trained to tell adversarial from genuine images",
            reference="Perturbation Analysis of Gradient-based Adversarial Attacks, Pattern Recognition Letters 2020"
            " (2006.01456)",
            tags=frozenset({"l2", "detector", "adversarial-retraining", "white-box"}),
        )
    ]
