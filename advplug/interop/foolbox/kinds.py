"""Our attacks as instances of Foolbox's base classes."""

from __future__ import annotations

from abc import ABC

from foolbox.attacks.base import AttackWithDistance, FixedEpsilonAttack, MinimizationAttack

from advplug.attack import Attack


class OfMinimumNorm(ABC):
    """Stands for the classes of attacks that all look for the smallest perturbation."""

    @classmethod
    def __subclasshook__(cls, kind: type) -> bool:
        return issubclass(kind, Attack) and kind.minimum_norm is True


class OfFixedBudget(ABC):
    """Stands for the classes of attacks that all need a budget."""

    @classmethod
    def __subclasshook__(cls, kind: type) -> bool:
        return issubclass(kind, Attack) and (kind.minimum_norm is Attack.minimum_norm or kind.minimum_norm is False)


AttackWithDistance.register(Attack)  # type: ignore[type-abstract]
MinimizationAttack.register(OfMinimumNorm)  # type: ignore[type-abstract]
FixedEpsilonAttack.register(OfFixedBudget)  # type: ignore[type-abstract]
