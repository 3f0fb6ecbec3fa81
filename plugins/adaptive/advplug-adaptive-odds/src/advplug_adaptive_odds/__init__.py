"""The break of the detector of *The Odds are Odd* as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AdaptiveSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug.evaluation import Evaluation
    from advplug.report import Section
    from advplug_adaptive_odds._adaptive import BreakOdds

__all__ = ["BreakOdds", "advplug_adaptive", "advplug_report_sections"]

__getattr__ = lazily(__name__, {"BreakOdds": "._adaptive"})


@hookimpl
def advplug_adaptive() -> list[AdaptiveSpec]:
    """Name the case; torch is imported when it is loaded."""
    return [
        AdaptiveSpec(
            name="odds",
            factory="advplug_adaptive_odds._adaptive:BreakOdds",
            summary="PGD that matches the logits of clean images, also under noise, passes the statistical test",
            reference="On Adaptive Attacks to Adversarial Example Defenses, NeurIPS 2020, appendix C (2002.08347)",
            breaks="odds",
            uses_attacks=("pgd", "standard"),
            tags=frozenset({"linf", "logit-matching", "eot"}),
        )
    ]


@hookimpl
def advplug_report_sections(evaluation: Evaluation) -> list[Section]:
    """In reports of this case: the scores that the detector gives to clean images and to those of each attack."""
    if evaluation.case != "odds":
        return []
    from advplug_adaptive_odds._scores import scores

    return scores(evaluation)
