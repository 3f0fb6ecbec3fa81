"""Ensembles decoded by error-correcting output codes, as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import DefenseSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_defense_ecoc._defense import ECOC

__all__ = ["ECOC", "advplug_defenses"]

__getattr__ = lazily(__name__, {"ECOC": "._defense"})


@hookimpl
def advplug_defenses() -> list[DefenseSpec]:
    """Name the defense; torch is imported when it is loaded."""
    return [
        DefenseSpec(
            name="ecoc",
            factory="advplug_defense_ecoc._defense:ECOC",
            summary="Ensemble of binary classifiers; the class is the codeword that agrees best with their answers",
            reference="Verma and Swami, Error Correcting Output Codes Improve Probability Estimation and Adversarial "
            "Robustness of Deep Neural Networks, NeurIPS 2019",
            tags=frozenset({"linf", "ensemble", "gradient-masking", "white-box"}),
        )
    ]
