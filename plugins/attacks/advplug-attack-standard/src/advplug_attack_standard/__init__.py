"""The attacks to run first, as one advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AttackSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug.evaluation import Evaluation
    from advplug.records import Finding
    from advplug_attack_standard._standard import Standard

__all__ = ["Standard", "advplug_attacks", "advplug_diagnose"]

__getattr__ = lazily(__name__, {"Standard": "._standard"})


@hookimpl
def advplug_attacks() -> list[AttackSpec]:
    """Name the attack; torch is imported when it is loaded."""
    return [
        AttackSpec(
            name="standard",
            factory="advplug_attack_standard._standard:Standard",
            summary="Run it first: APGD, targeted APGD, targeted FAB and Square, each on the unbroken samples",
            reference=(
                "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free attacks, "
                "ICML 2020 (2003.01690)"
            ),
            tags=frozenset({"linf", "l2", "l1", "targeted", "fixed-budget"}),
        )
    ]


@hookimpl
def advplug_diagnose(evaluation: Evaluation) -> list[Finding]:
    """Say where the stage that sees scores alone broke what gradients had not."""
    from advplug_attack_standard._findings import scores_beat_gradients

    return list(scores_beat_gradients(evaluation))
