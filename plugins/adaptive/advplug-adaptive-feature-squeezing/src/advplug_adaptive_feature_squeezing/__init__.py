"""The break of feature squeezing as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AdaptiveSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_adaptive_feature_squeezing._adaptive import BreakFeatureSqueezing
    from advplug_adaptive_feature_squeezing._loss import SqueezedMargin

__all__ = ["BreakFeatureSqueezing", "SqueezedMargin", "advplug_adaptive"]

__getattr__ = lazily(__name__, {"BreakFeatureSqueezing": "._adaptive", "SqueezedMargin": "._loss"})


@hookimpl
def advplug_adaptive() -> list[AdaptiveSpec]:
    """Name the case; torch is imported when it is loaded."""
    return [
        AdaptiveSpec(
            name="feature-squeezing",
            factory="advplug_adaptive_feature_squeezing._adaptive:BreakFeatureSqueezing",
            summary="Higher confidence passes the detector; a margin of all squeezed copies does at less distance",
            reference="Bypassing Feature Squeezing by Increasing Adversary Strength, 2018 (1803.09868)",
            breaks="feature-squeezing",
            uses_attacks=("cw", "ddn", "ead", "pgd", "standard", "transfer"),
            tags=frozenset({"linf", "l2", "bpda", "detector"}),
        )
    ]
