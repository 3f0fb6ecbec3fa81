"""What counts as a success. Criteria combine with ``&``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from advplug.model import Decision, DefendedModel


class Criterion(ABC):
    """Judges the answers of the deployed system, never its scores."""

    needs_targets = False

    @abstractmethod
    def __call__(self, decision: Decision, labels: Tensor, targets: Tensor | None) -> Tensor:
        """Success of each sample, bool (n,), from true ``labels`` int64 (n,) and ``targets`` int64 (n,) or None."""

    def __and__(self, other: Criterion) -> Criterion:
        return Both(self, other)


@dataclass(frozen=True)
class Misclassified(Criterion):
    """The answer is any class but the true one."""

    def __call__(self, decision: Decision, labels: Tensor, targets: Tensor | None) -> Tensor:
        return decision.labels != labels


@dataclass(frozen=True)
class Targeted(Criterion):
    """The answer is the target class."""

    needs_targets = True

    def __call__(self, decision: Decision, labels: Tensor, targets: Tensor | None) -> Tensor:
        assert targets is not None, "a Problem refuses a targeted criterion without targets"
        return decision.labels == targets


@dataclass(frozen=True)
class Accepted(Criterion):
    """The detector lets the input pass."""

    def __call__(self, decision: Decision, labels: Tensor, targets: Tensor | None) -> Tensor:
        return decision.accepted


@dataclass(frozen=True)
class Both(Criterion):
    """Both criteria hold."""

    first: Criterion
    second: Criterion

    @property
    def needs_targets(self) -> bool:  # type: ignore[override]
        return self.first.needs_targets or self.second.needs_targets

    def __call__(self, decision: Decision, labels: Tensor, targets: Tensor | None) -> Tensor:
        return self.first(decision, labels, targets) & self.second(decision, labels, targets)


def default_criterion(model: DefendedModel, targeted: bool) -> Criterion:
    """The goal of the threat model, and past the detector where the model has one."""
    goal: Criterion = Targeted() if targeted else Misclassified()
    return goal & Accepted() if model.rejects else goal
