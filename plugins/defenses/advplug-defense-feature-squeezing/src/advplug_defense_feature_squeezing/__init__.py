"""Feature squeezing as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import DefenseSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_defense_feature_squeezing._calibration import calibrate, largest_scores, threshold
    from advplug_defense_feature_squeezing._defense import Squeezed
    from advplug_defense_feature_squeezing._model import FeatureSqueezing, distances

__all__ = ["FeatureSqueezing", "Squeezed", "advplug_defenses", "calibrate", "distances", "largest_scores", "threshold"]

__getattr__ = lazily(
    __name__,
    {
        "FeatureSqueezing": "._model",
        "Squeezed": "._defense",
        "calibrate": "._calibration",
        "distances": "._model",
        "largest_scores": "._calibration",
        "threshold": "._calibration",
    },
)


@hookimpl
def advplug_defenses() -> list[DefenseSpec]:
    """Name the defense; torch is imported when it is loaded."""
    return [
        DefenseSpec(
            name="feature-squeezing",
            factory="advplug_defense_feature_squeezing._defense:Squeezed",
            summary="Detector that rejects images whose squeezed copies (fewer bits, median) get another answer",
            reference="Xu et al., Feature Squeezing: Detecting Adversarial Examples in Deep Neural Networks, NDSS 2018",
            tags=frozenset({"linf", "l2", "detector", "white-box"}),
        )
    ]
