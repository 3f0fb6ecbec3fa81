"""Ensembles of mixed precision as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import DefenseSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_defense_empir._defense import EMPIR
    from advplug_defense_empir._ensemble import FullPrecision, MixedPrecision, TrueDerivative, agreeing, votes

__all__ = ["EMPIR", "FullPrecision", "MixedPrecision", "TrueDerivative", "advplug_defenses", "agreeing", "votes"]

_ENSEMBLE = ("FullPrecision", "MixedPrecision", "TrueDerivative", "agreeing", "votes")
__getattr__ = lazily(__name__, {"EMPIR": "._defense", **dict.fromkeys(_ENSEMBLE, "._ensemble")})


@hookimpl
def advplug_defenses() -> list[DefenseSpec]:
    """Name the defense; torch is imported when it is loaded."""
    return [
        DefenseSpec(
            name="empir",
            factory="advplug_defense_empir._defense:EMPIR",
            summary="Majority vote of two networks of few bits and one of full precision",
            reference="Sen et al., EMPIR: Ensembles of Mixed Precision Deep Networks for Increased Robustness against "
            "Adversarial Attacks, ICLR 2020 (2004.10162)",
            tags=frozenset({"linf", "ensemble", "quantisation", "discontinuous", "white-box"}),
        )
    ]
