"""The break of k-Winners-Take-All networks as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AdaptiveSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug.evaluation import Evaluation
    from advplug.report import Section
    from advplug_adaptive_kwta._adaptive import BreakKWTA

__all__ = ["BreakKWTA", "advplug_adaptive", "advplug_report_sections"]

__getattr__ = lazily(__name__, {"BreakKWTA": "._adaptive"})


@hookimpl
def advplug_adaptive() -> list[AdaptiveSpec]:
    """Name the case; torch is imported when it is loaded."""
    return [
        AdaptiveSpec(
            name="kwta",
            factory="advplug_adaptive_kwta._adaptive:BreakKWTA",
            summary="Margin loss through averaged finite differences breaks k-Winners-Take-All networks",
            reference="On Adaptive Attacks to Adversarial Example Defenses, NeurIPS 2020, appendix B (2002.08347)",
            breaks="kwta",
            uses_attacks=("pgd", "standard"),
            tags=frozenset({"linf", "score-based"}),
        )
    ]


@hookimpl
def advplug_report_sections(evaluation: Evaluation) -> list[Section]:
    """In reports of this case: what the loss looks like, with the activation and without."""
    if evaluation.case != "kwta":
        return []
    from advplug_adaptive_kwta._landscape import landscape

    return landscape(evaluation)
