"""The break of defensive distillation as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AdaptiveSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug.evaluation import Evaluation
    from advplug.report import Section
    from advplug_adaptive_distillation._adaptive import BreakDistillation

__all__ = ["BreakDistillation", "advplug_adaptive", "advplug_report_sections"]

__getattr__ = lazily(__name__, {"BreakDistillation": "._adaptive"})


@hookimpl
def advplug_adaptive() -> list[AdaptiveSpec]:
    """Name the case; torch is imported when it is loaded."""
    return [
        AdaptiveSpec(
            name="distillation",
            factory="advplug_adaptive_distillation._adaptive:BreakDistillation",
            summary="PGD on the margin of the logits breaks networks distilled at a high temperature",
            reference="Carlini and Wagner, Defensive Distillation is Not Robust to Adversarial Examples, 2016 "
            "(1607.04311)",
            breaks="distillation",
            uses_attacks=("cw-linf", "pgd", "standard", "transfer"),
            tags=frozenset({"linf", "saturation", "transfer-based"}),
        )
    ]


@hookimpl
def advplug_report_sections(evaluation: Evaluation) -> list[Section]:
    """In reports of this case: how far apart the logits are, and what that leaves of the gradient."""
    if evaluation.case != "distillation":
        return []
    from advplug_adaptive_distillation._saturation import saturation

    return saturation(evaluation)
