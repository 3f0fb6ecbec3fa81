"""Our attacks as instances of Foolbox's base classes."""

from __future__ import annotations

from abc import ABC
from typing import Any

from foolbox.attacks.base import AttackWithDistance, FixedEpsilonAttack, MinimizationAttack

from advplug.attack import Attack


class OfMinimumNorm(ABC):  # noqa: B024  # it has a hook
    """Stands for the classes of attacks that all look for the smallest perturbation."""

    @classmethod
    def __subclasshook__(cls, kind: type) -> bool:
        return issubclass(kind, Attack) and _declared(kind) is True


class OfFixedBudget(ABC):  # noqa: B024
    """Stands for the classes of attacks that all need a budget."""

    @classmethod
    def __subclasshook__(cls, kind: type) -> bool:
        return issubclass(kind, Attack) and _declared(kind) in (False, Attack.minimum_norm)


def _declared(kind: type[Attack]) -> Any:
    """What the class says of ``minimum_norm``: a bool, or a property where its instances differ."""
    return kind.minimum_norm


AttackWithDistance.register(Attack)  # type: ignore[type-abstract]
MinimizationAttack.register(OfMinimumNorm)
FixedEpsilonAttack.register(OfFixedBudget)
