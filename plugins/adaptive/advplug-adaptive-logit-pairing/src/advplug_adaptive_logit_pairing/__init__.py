"""The break of logit pairing and logit squeezing as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AdaptiveSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug.evaluation import Evaluation
    from advplug.report import Section
    from advplug_adaptive_logit_pairing._adaptive import BreakLogitPairing

__all__ = ["BreakLogitPairing", "advplug_adaptive", "advplug_report_sections"]

__getattr__ = lazily(__name__, {"BreakLogitPairing": "._adaptive"})


@hookimpl
def advplug_adaptive() -> list[AdaptiveSpec]:
    """Name the case; torch is imported when it is loaded."""
    return [
        AdaptiveSpec(
            name="logit-pairing",
            factory="advplug_adaptive_logit_pairing._adaptive:BreakLogitPairing",
            summary="Large steps and many restarts break clean logit pairing and logit squeezing",
            reference="Mosbach et al., Logit Pairing Methods Can Fool Gradient-Based Attacks, 2018 (1810.12042)",
            breaks="logit-pairing",
            uses_attacks=("pgd", "standard"),
            tags=frozenset({"linf", "restarts"}),
        )
    ]


@hookimpl
def advplug_report_sections(evaluation: Evaluation) -> list[Section]:
    """In reports of this case: loss surfaces, and the losses that restarts reach, beside adversarial training."""
    if evaluation.case != "logit-pairing":
        return []
    from advplug_adaptive_logit_pairing._sections import sections

    return sections(evaluation)
