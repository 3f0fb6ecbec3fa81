"""The break of the detector of *Turning a Weakness into a Strength* as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AdaptiveSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug.evaluation import Evaluation
    from advplug.report import Section
    from advplug_adaptive_weakness_strength._adaptive import BreakWeaknessStrength

__all__ = ["BreakWeaknessStrength", "advplug_adaptive", "advplug_report_sections"]

__getattr__ = lazily(__name__, {"BreakWeaknessStrength": "._adaptive"})


@hookimpl
def advplug_adaptive() -> list[AdaptiveSpec]:
    """Name the case; torch is imported when it is loaded."""
    return [
        AdaptiveSpec(
            name="weakness-strength",
            factory="advplug_adaptive_weakness_strength._adaptive:BreakWeaknessStrength",
            summary="Bisection between the input and a confident adversarial point finds points that all tests accept",
            reference="On Adaptive Attacks to Adversarial Example Defenses, NeurIPS 2020, appendix N (2002.08347)",
            breaks="weakness-strength",
            uses_attacks=("interpolation", "pgd", "standard"),
            tags=frozenset({"linf", "line-search"}),
        )
    ]


@hookimpl
def advplug_report_sections(evaluation: Evaluation) -> list[Section]:
    """In reports of this case: what the tests say on the way from an input to an adversarial point."""
    if evaluation.case != "weakness-strength":
        return []
    from advplug_adaptive_weakness_strength._way import way

    return way(evaluation)
