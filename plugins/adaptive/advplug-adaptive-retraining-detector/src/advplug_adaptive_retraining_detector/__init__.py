"""The break of a detector retrained on adversarial images, as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AdaptiveSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug.evaluation import Evaluation
    from advplug.report import Section
    from advplug_adaptive_retraining_detector._adaptive import BreakRetrainingDetector

__all__ = ["BreakRetrainingDetector", "advplug_adaptive", "advplug_report_sections"]

__getattr__ = lazily(__name__, {"BreakRetrainingDetector": "._adaptive"})


@hookimpl
def advplug_adaptive() -> list[AdaptiveSpec]:
    """Name the case; torch is imported when it is loaded."""
    return [
        AdaptiveSpec(
            name="retraining-detector",
            factory="advplug_adaptive_retraining_detector._adaptive:BreakRetrainingDetector",
            summary="The classifier until it errs, then the detector: both networks have gradients",
            reference="Adversarial Examples Are Not Easily Detected: Bypassing Ten Detection Methods, AISec 2017"
            " (1705.07263)",
            breaks="retraining-detector",
            uses_attacks=("ddn", "fgm-steps", "transfer"),
            tags=frozenset({"l2", "detector", "minimum-norm"}),
        )
    ]


@hookimpl
def advplug_report_sections(evaluation: Evaluation) -> list[Section]:
    """In reports of this case: what the detector says of clean images and of those that the attacks found."""
    if evaluation.case != "retraining-detector":
        return []
    from advplug_adaptive_retraining_detector._scores import scores

    return scores(evaluation)
