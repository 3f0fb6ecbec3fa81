"""The attack on deep generative classifiers as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AdaptiveSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug.evaluation import Evaluation
    from advplug.report import Section
    from advplug_adaptive_generative._adaptive import BreakGenerative

__all__ = ["BreakGenerative", "advplug_adaptive", "advplug_report_sections"]

__getattr__ = lazily(__name__, {"BreakGenerative": "._adaptive"})


@hookimpl
def advplug_adaptive() -> list[AdaptiveSpec]:
    """Name the case; torch is imported when it is loaded."""
    return [
        AdaptiveSpec(
            name="generative",
            factory="advplug_adaptive_generative._adaptive:BreakGenerative",
            summary="PGD averaged over latent samples leaves what noise gets right, and with fixed noise nothing",
            reference="On Adaptive Attacks to Adversarial Example Defenses, NeurIPS 2020, appendix D (2002.08347)",
            breaks="generative",
            uses_attacks=("pgd", "standard"),
            tags=frozenset({"linf", "randomised", "detector", "eot"}),
        )
    ]


@hookimpl
def advplug_report_sections(evaluation: Evaluation) -> list[Section]:
    """In reports of this case: the terms of the scores, and the share of draws that are fooled."""
    if evaluation.case != "generative":
        return []
    from advplug_adaptive_generative._terms import terms

    return terms(evaluation)
