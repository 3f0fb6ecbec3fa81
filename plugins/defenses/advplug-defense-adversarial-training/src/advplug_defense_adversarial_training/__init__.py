"""Adversarial training as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import DefenseSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_defense_adversarial_training._defense import AdversarialTraining

__all__ = ["AdversarialTraining", "advplug_defenses"]

__getattr__ = lazily(__name__, {"AdversarialTraining": "._defense"})


@hookimpl
def advplug_defenses() -> list[DefenseSpec]:
    """Name the defense; torch is imported when it is loaded."""
    return [
        DefenseSpec(
            name="adversarial-training",
            factory="advplug_defense_adversarial_training._defense:AdversarialTraining",
            summary="Networks with adversarial training under Linf or L2, and the same networks without it",
            reference="Towards Deep Learning Models Resistant to Adversarial Attacks, ICLR 2018 (1706.06083)",
            tags=frozenset({"linf", "l2", "robust-training", "white-box"}),
        )
    ]
