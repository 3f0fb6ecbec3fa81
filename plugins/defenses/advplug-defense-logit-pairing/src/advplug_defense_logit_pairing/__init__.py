"""Logit pairing as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import DefenseSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_defense_logit_pairing._defense import LogitPairing

__all__ = ["LogitPairing", "advplug_defenses"]

__getattr__ = lazily(__name__, {"LogitPairing": "._defense"})


@hookimpl
def advplug_defenses() -> list[DefenseSpec]:
    """Name the defense; torch is imported when it is loaded."""
    return [
        DefenseSpec(
            name="logit-pairing",
            factory="advplug_defense_logit_pairing._defense:LogitPairing",
            summary="Clean and adversarial logit pairing, logit squeezing, and adversarial training as a control",
            reference="Kannan et al., Adversarial Logit Pairing, 2018 (1803.06373)",
            tags=frozenset({"linf", "gradient-masking", "regularisation", "white-box"}),
        )
    ]
