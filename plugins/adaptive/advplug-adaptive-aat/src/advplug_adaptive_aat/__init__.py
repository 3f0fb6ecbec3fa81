"""The break of asymmetrical adversarial training as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AdaptiveSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug.evaluation import Evaluation
    from advplug.report import Section
    from advplug_adaptive_aat._adaptive import BreakAAT

__all__ = ["BreakAAT", "advplug_adaptive", "advplug_report_sections"]

__getattr__ = lazily(__name__, {"BreakAAT": "._adaptive"})


@hookimpl
def advplug_adaptive() -> list[AdaptiveSpec]:
    """Name the case; torch is imported when it is loaded."""
    return [
        AdaptiveSpec(
            name="aat",
            factory="advplug_adaptive_aat._adaptive:BreakAAT",
            summary="One target class at a time: the classifier first, then the detector of that class",
            reference="On Adaptive Attacks to Adversarial Example Defenses, NeurIPS 2020, appendix M (2002.08347)",
            breaks="aat",
            uses_attacks=("pgd", "standard"),
            tags=frozenset({"linf", "detector", "multi-targeted"}),
        )
    ]


@hookimpl
def advplug_report_sections(evaluation: Evaluation) -> list[Section]:
    """In reports of this case: which detectors each attack raises."""
    if evaluation.case != "aat":
        return []
    from advplug_adaptive_aat._raised import raised

    return raised(evaluation)
