"""The fast gradient method, and gradient steps without a budget, as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AttackSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_attack_fgm._fgm import FGM
    from advplug_attack_fgm._steps import GradientSteps

__all__ = ["FGM", "GradientSteps", "advplug_attacks"]

__getattr__ = lazily(__name__, {"FGM": "._fgm", "GradientSteps": "._steps"})


@hookimpl
def advplug_attacks() -> list[AttackSpec]:
    """Name the attacks; torch is imported when one is loaded."""
    return [
        AttackSpec(
            name="fgm",
            factory="advplug_attack_fgm._fgm:FGM",
            summary="Fast gradient method, in one step or several, under Linf, L2 and L1",
            reference="Explaining and Harnessing Adversarial Examples, ICLR 2015 (1412.6572); in steps: 1607.02533",
            tags=frozenset({"linf", "l2", "l1", "targeted", "fixed-budget"}),
        ),
        AttackSpec(
            name="fgm-steps",
            factory="advplug_attack_fgm._steps:GradientSteps",
            summary="Gradient steps without a budget until the goal is reached, for comparing losses",
            reference="Perturbation Analysis of Gradient-based Adversarial Attacks, Pattern Recognition Letters 2020"
            " (2006.01456)",
            tags=frozenset({"l2", "targeted", "minimum-norm"}),
        ),
    ]
