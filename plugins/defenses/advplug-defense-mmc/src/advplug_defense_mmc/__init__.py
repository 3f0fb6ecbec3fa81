"""Max-Mahalanobis centre networks as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import DefenseSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_defense_mmc._defense import MMC

__all__ = ["MMC", "advplug_defenses"]

__getattr__ = lazily(__name__, {"MMC": "._defense"})


@hookimpl
def advplug_defenses() -> list[DefenseSpec]:
    """Name the defense; torch is imported when it is loaded."""
    return [
        DefenseSpec(
            name="mmc",
            factory="advplug_defense_mmc._defense:MMC",
            summary="Features pulled to fixed, evenly spread class centres instead of a softmax",
            reference="Pang et al., Rethinking Softmax Cross-Entropy Loss for Adversarial Robustness, ICLR 2020 "
            "(1905.10626)",
            tags=frozenset({"linf", "gradient-masking", "saturation", "white-box"}),
        )
    ]
