"""Training against an adversary critic as an advplug plugin; :class:`AdversaryCritic` is its loss, for any training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import DefenseSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_defense_adversary_critic._critic import Critic
    from advplug_defense_adversary_critic._defense import AdversaryCriticDefense
    from advplug_defense_adversary_critic._objective import AdversaryCritic

__all__ = ["AdversaryCritic", "AdversaryCriticDefense", "Critic", "advplug_defenses"]

__getattr__ = lazily(
    __name__,
    {"AdversaryCritic": "._objective", "AdversaryCriticDefense": "._defense", "Critic": "._critic"},
)


@hookimpl
def advplug_defenses() -> list[DefenseSpec]:
    """Name the defense; torch is imported when it is loaded."""
    return [
        DefenseSpec(
            name="adversary-critic",
            factory="advplug_defense_adversary_critic._defense:AdversaryCriticDefense",
            summary="Training through an attack whose images have to look real to a critic",
            reference="Improved Network Robustness with Adversary Critic, NeurIPS 2018 (1810.12576)",
            tags=frozenset({"l2", "robust-training", "white-box"}),
        )
    ]
