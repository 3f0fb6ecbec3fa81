"""Attacks on scores alone as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AttackSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_attack_score._simba import SimBA
    from advplug_attack_score._spsa import SPSA

__all__ = ["SPSA", "SimBA", "advplug_attacks"]

__getattr__ = lazily(__name__, {"SPSA": "._spsa", "SimBA": "._simba"})


@hookimpl
def advplug_attacks() -> list[AttackSpec]:
    """Name the attacks; torch is imported when one is loaded."""
    return [
        AttackSpec(
            name="simba",
            factory="advplug_attack_score._simba:SimBA",
            summary="SimBA under L2 and Linf: tries one pixel or one frequency after the other, from scores only",
            reference="Simple Black-box Adversarial Attacks, ICML 2019 (1905.07121)",
            tags=frozenset({"l2", "linf", "targeted", "fixed-budget", "score-based"}),
        ),
        AttackSpec(
            name="spsa",
            factory="advplug_attack_score._spsa:SPSA",
            summary="SPSA and NES: Adam on gradients estimated along random directions, from scores only",
            reference=(
                "Adversarial Risk and the Dangers of Evaluating Against Weak Attacks, ICML 2018 (1802.05666); "
                "Black-box Adversarial Attacks with Limited Queries and Information, ICML 2018 (1804.08598)"
            ),
            tags=frozenset({"l2", "linf", "targeted", "fixed-budget", "score-based"}),
        ),
    ]
