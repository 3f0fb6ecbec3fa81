"""The break of Max-Mahalanobis centre networks as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AdaptiveSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug.evaluation import Evaluation
    from advplug.report import Section
    from advplug_adaptive_mmc._adaptive import BreakMMC

__all__ = ["BreakMMC", "advplug_adaptive", "advplug_report_sections"]

__getattr__ = lazily(__name__, {"BreakMMC": "._adaptive"})


@hookimpl
def advplug_adaptive() -> list[AdaptiveSpec]:
    """Name the case; torch is imported when it is loaded."""
    return [
        AdaptiveSpec(
            name="mmc",
            factory="advplug_adaptive_mmc._adaptive:BreakMMC",
            summary="PGD on the distance to each other class centre breaks Max-Mahalanobis centre networks",
            reference="On Adaptive Attacks to Adversarial Example Defenses, NeurIPS 2020, appendix F (2002.08347)",
            breaks="mmc",
            uses_attacks=("pgd", "standard"),
            tags=frozenset({"linf", "multi-targeted", "feature-level"}),
        )
    ]


@hookimpl
def advplug_report_sections(evaluation: Evaluation) -> list[Section]:
    """In reports of this case: what is left of the gradient of the cross-entropy."""
    if evaluation.case != "mmc":
        return []
    from advplug_adaptive_mmc._saturation import saturation

    return saturation(evaluation)
