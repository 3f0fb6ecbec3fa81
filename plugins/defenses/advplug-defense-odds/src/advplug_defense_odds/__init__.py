"""The detector of *The Odds are Odd* as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import DefenseSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_defense_odds._defense import Odds
    from advplug_defense_odds._model import OddsModel
    from advplug_defense_odds._networks import WideResNet

__all__ = ["Odds", "OddsModel", "WideResNet", "advplug_defenses"]

__getattr__ = lazily(__name__, {"Odds": "._defense", "OddsModel": "._model", "WideResNet": "._networks"})


@hookimpl
def advplug_defenses() -> list[DefenseSpec]:
    """Name the defense; torch is imported when it is loaded."""
    return [
        DefenseSpec(
            name="odds",
            factory="advplug_defense_odds._defense:Odds",
            summary="Detector that rejects inputs whose logits drift under noise unlike those of clean images",
            reference="Roth et al., The Odds are Odd: A Statistical Test for Detecting Adversarial Examples, ICML 2019",
            tags=frozenset({"linf", "detector", "stochastic", "white-box"}),
        )
    ]
