"""The break of the temporal-dependency detector as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AdaptiveSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug.evaluation import Evaluation
    from advplug.report import Section
    from advplug_adaptive_temporal_dependency._adaptive import BreakTemporalDependency
    from advplug_adaptive_temporal_dependency._attack import ShrinkingBound
    from advplug_adaptive_temporal_dependency._loss import CTCOfBeginnings
    from advplug_adaptive_temporal_dependency._targets import EverySymbolChanged

__all__ = [
    "BreakTemporalDependency",
    "CTCOfBeginnings",
    "EverySymbolChanged",
    "ShrinkingBound",
    "advplug_adaptive",
    "advplug_report_sections",
]

__getattr__ = lazily(
    __name__,
    {
        "BreakTemporalDependency": "._adaptive",
        "CTCOfBeginnings": "._loss",
        "EverySymbolChanged": "._targets",
        "ShrinkingBound": "._attack",
    },
)


@hookimpl
def advplug_adaptive() -> list[AdaptiveSpec]:
    """Name the case; torch is imported when it is loaded."""
    return [
        AdaptiveSpec(
            name="temporal-dependency",
            factory="advplug_adaptive_temporal_dependency._adaptive:BreakTemporalDependency",
            summary="The beginnings of a sound are targets, too: they shall read like the beginning of the phrase",
            reference="On Adaptive Attacks to Adversarial Example Defenses, NeurIPS 2020, appendix J (2002.08347)",
            breaks="temporal-dependency",
            tags=frozenset({"linf", "speech", "minimum-norm"}),
        )
    ]


@hookimpl
def advplug_report_sections(evaluation: Evaluation) -> list[Section]:
    """In reports of this case: at which beginnings the adversarial sounds of each attack read otherwise."""
    if evaluation.case != "temporal-dependency":
        return []
    from advplug_adaptive_temporal_dependency._consistency import consistency

    return consistency(evaluation)
