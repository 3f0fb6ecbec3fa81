"""Attacks around another attack."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from advplug.attack import Attack
from advplug.losses import Loss


class AttackAround(Attack):
    """An attack that can do what another one can: its norms, its losses, its steps."""

    @property
    @abstractmethod
    def inner(self) -> Attack:
        """The attack inside."""

    @property
    def norms(self) -> tuple[str, ...]:
        return self.inner.norms

    @property
    def minimum_norm(self) -> bool:
        return self.inner.minimum_norm

    @property
    def needs_budget(self) -> bool:
        return self.inner.needs_budget

    @property
    def needs_auxiliary(self) -> bool:
        return self.inner.needs_auxiliary

    @property
    def fixed_loss(self) -> bool:
        return self.inner.fixed_loss

    @property
    def default_loss(self) -> Loss:
        return self.inner.default_loss

    @property
    def planned_steps(self) -> int:
        return self.inner.planned_steps

    def cost(self, delta: Tensor, norm: str) -> Tensor:
        return self.inner.cost(delta, norm)
