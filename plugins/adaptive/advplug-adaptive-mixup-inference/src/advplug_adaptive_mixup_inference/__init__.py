"""The break of mixup inference as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AdaptiveSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug.evaluation import Evaluation
    from advplug.report import Section
    from advplug_adaptive_mixup_inference._adaptive import BreakMixupInference

__all__ = ["BreakMixupInference", "advplug_adaptive", "advplug_report_sections"]

__getattr__ = lazily(__name__, {"BreakMixupInference": "._adaptive"})


@hookimpl
def advplug_adaptive() -> list[AdaptiveSpec]:
    """Name the case; torch is imported when it is loaded."""
    return [
        AdaptiveSpec(
            name="mixup-inference",
            factory="advplug_adaptive_mixup_inference._adaptive:BreakMixupInference",
            summary="PGD through the mixing, with gradients averaged over draws, undoes most of what the mixing gains",
            reference="On Adaptive Attacks to Adversarial Example Defenses, NeurIPS 2020, appendix K (2002.08347)",
            breaks="mixup-inference",
            uses_attacks=("pgd", "standard", "transfer"),
            tags=frozenset({"linf", "randomised", "white-box"}),
        )
    ]


@hookimpl
def advplug_report_sections(evaluation: Evaluation) -> list[Section]:
    """In reports of this case: what each attack leaves beside what the network alone keeps."""
    if evaluation.case != "mixup-inference":
        return []
    from advplug_adaptive_mixup_inference._bars import bars

    return bars(evaluation)
