"""Ensembles trained to be diverse as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import DefenseSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_defense_adp._defense import ADP
    from advplug_defense_adp._ensemble import MeanProbability
    from advplug_defense_adp._training import diversity

__all__ = ["ADP", "MeanProbability", "advplug_defenses", "diversity"]

__getattr__ = lazily(__name__, {"ADP": "._defense", "MeanProbability": "._ensemble", "diversity": "._training"})


@hookimpl
def advplug_defenses() -> list[DefenseSpec]:
    """Name the defense; torch is imported when it is loaded."""
    return [
        DefenseSpec(
            name="adp",
            factory="advplug_defense_adp._defense:ADP",
            summary="Mean probability of three networks, trained to differ in what they predict besides the true class",
            reference="Pang et al., Improving Adversarial Robustness via Promoting Ensemble Diversity, ICML 2019 "
            "(1901.08846)",
            tags=frozenset({"linf", "ensemble", "white-box"}),
        )
    ]
