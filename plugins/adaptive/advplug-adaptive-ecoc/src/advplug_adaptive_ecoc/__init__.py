"""The break of ensembles decoded by error-correcting output codes, as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AdaptiveSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug.evaluation import Evaluation
    from advplug.report import Section
    from advplug_adaptive_ecoc._adaptive import BreakECOC

__all__ = ["BreakECOC", "advplug_adaptive", "advplug_report_sections"]

__getattr__ = lazily(__name__, {"BreakECOC": "._adaptive"})


@hookimpl
def advplug_adaptive() -> list[AdaptiveSpec]:
    """Name the case; torch is imported when it is loaded."""
    return [
        AdaptiveSpec(
            name="ecoc",
            factory="advplug_adaptive_ecoc._adaptive:BreakECOC",
            summary="PGD on a hinge of the decoded bits, before tanh and logarithm, breaks error-correcting ensembles",
            reference="On Adaptive Attacks to Adversarial Example Defenses, NeurIPS 2020, appendix G (2002.08347)",
            breaks="ecoc",
            uses_attacks=("pgd", "standard"),
            tags=frozenset({"linf", "white-box"}),
        )
    ]


@hookimpl
def advplug_report_sections(evaluation: Evaluation) -> list[Section]:
    """In reports of this case: where tanh is flat, and what gradient is left."""
    if evaluation.case != "ecoc":
        return []
    from advplug_adaptive_ecoc._saturation import saturation

    return saturation(evaluation)
