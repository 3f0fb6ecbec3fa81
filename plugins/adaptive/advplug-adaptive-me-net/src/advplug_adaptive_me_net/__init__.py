"""The break of ME-Net as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AdaptiveSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug.evaluation import Evaluation
    from advplug.report import Section
    from advplug_adaptive_me_net._adaptive import BreakMENet

__all__ = ["BreakMENet", "advplug_adaptive", "advplug_report_sections"]

__getattr__ = lazily(__name__, {"BreakMENet": "._adaptive"})


@hookimpl
def advplug_adaptive() -> list[AdaptiveSpec]:
    """Name the case; torch is imported when it is loaded."""
    return [
        AdaptiveSpec(
            name="me-net",
            factory="advplug_adaptive_me_net._adaptive:BreakMENet",
            summary="Gradients averaged over many masks in every step, with the pre-processing as the identity",
            reference="On Adaptive Attacks to Adversarial Example Defenses, NeurIPS 2020, appendix L (2002.08347)",
            breaks="me-net",
            uses_attacks=("pgd", "standard"),
            tags=frozenset({"linf", "stochastic", "eot", "bpda"}),
        )
    ]


@hookimpl
def advplug_report_sections(evaluation: Evaluation) -> list[Section]:
    """In reports of this case: an image, under a mask, and estimated; and how noisy gradients are."""
    if evaluation.case != "me-net":
        return []
    from advplug_adaptive_me_net._masks import masks

    return masks(evaluation)
