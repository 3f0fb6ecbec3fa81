"""The break of ensembles of mixed precision as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AdaptiveSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug.evaluation import Evaluation
    from advplug.report import Section
    from advplug_adaptive_empir._adaptive import BreakEMPIR

__all__ = ["BreakEMPIR", "advplug_adaptive", "advplug_report_sections"]

__getattr__ = lazily(__name__, {"BreakEMPIR": "._adaptive"})


@hookimpl
def advplug_adaptive() -> list[AdaptiveSpec]:
    """Name the case; torch is imported when it is loaded."""
    return [
        AdaptiveSpec(
            name="empir",
            factory="advplug_adaptive_empir._adaptive:BreakEMPIR",
            summary="PGD on the mean probability of all members breaks ensembles of mixed precision",
            reference="On Adaptive Attacks to Adversarial Example Defenses, NeurIPS 2020, appendix I (2002.08347)",
            breaks="empir",
            uses_attacks=("pgd", "standard"),
            tags=frozenset({"linf", "ensemble", "bpda"}),
        )
    ]


@hookimpl
def advplug_report_sections(evaluation: Evaluation) -> list[Section]:
    """In reports of this case: the objective of the vote beside the mean of all members."""
    if evaluation.case != "empir":
        return []
    from advplug_adaptive_empir._objectives import objectives

    return objectives(evaluation)
