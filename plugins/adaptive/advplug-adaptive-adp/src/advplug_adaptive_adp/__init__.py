"""The break of ensembles trained to be diverse as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AdaptiveSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug.evaluation import Evaluation
    from advplug.report import Section
    from advplug_adaptive_adp._adaptive import BreakADP
    from advplug_adaptive_adp._sequence import DescentThenBoundary

__all__ = ["BreakADP", "DescentThenBoundary", "advplug_adaptive", "advplug_report_sections"]

__getattr__ = lazily(__name__, {"BreakADP": "._adaptive", "DescentThenBoundary": "._sequence"})


@hookimpl
def advplug_adaptive() -> list[AdaptiveSpec]:
    """Name the case; torch is imported when it is loaded."""
    return [
        AdaptiveSpec(
            name="adp",
            factory="advplug_adaptive_adp._adaptive:BreakADP",
            summary="PGD that converges, and Brendel & Bethge on what it leaves, break ensembles trained to be diverse",
            reference="On Adaptive Attacks to Adversarial Example Defenses, NeurIPS 2020, appendix H (2002.08347)",
            breaks="adp",
            uses_attacks=("pgd", "brendel-bethge", "standard"),
            tags=frozenset({"linf", "ensemble"}),
        )
    ]


@hookimpl
def advplug_report_sections(evaluation: Evaluation) -> list[Section]:
    """In reports of this case: the accuracy after each step of PGD."""
    if evaluation.case != "adp":
        return []
    from advplug_adaptive_adp._convergence import convergence

    return convergence(evaluation)
