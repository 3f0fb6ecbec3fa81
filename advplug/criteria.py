"""What counts as a success. Criteria combine with ``&``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import eagerpy as ep
import torch
from torch import Tensor

from advplug.errors import InvalidInput
from advplug.hyperparameters import NonNegative, check_hyperparameters
from advplug.model import Decision, DefendedModel
from advplug.numerics.tensors import best_other, pick, raw, wrap


class Criterion(ABC):
    """Judges the answers of the deployed system.

    What an attack asks of a point beyond the goal, a condition on its scores such as :class:`Confident`, is a criterion
    as well.
    """

    @property
    def needs_targets(self) -> bool:
        """Whether it judges nothing without a target."""
        return False

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
class Anything(Criterion):
    """Every point counts: the engine then returns the one of least loss, misclassified or not, as training needs it."""

    def __call__(self, decision: Decision, labels: Tensor, targets: Tensor | None) -> Tensor:
        return torch.ones_like(labels, dtype=torch.bool)


@dataclass(frozen=True)
class Targeted(Criterion):
    """The answer is the target class."""

    needs_targets = True

    def __call__(self, decision: Decision, labels: Tensor, targets: Tensor | None) -> Tensor:
        if targets is None:
            raise InvalidInput("Targeted needs targets: pass targets=<classes (N,)> or targets='each'")
        return decision.labels == targets


@dataclass(frozen=True)
class Accepted(Criterion):
    """The detector lets the input pass."""

    def __call__(self, decision: Decision, labels: Tensor, targets: Tensor | None) -> Tensor:
        return decision.accepted


@dataclass(frozen=True)
class Confident(Criterion):
    """The logit of the target (without targets: of some wrong class) is at least ``confidence`` above all others.

    A condition that an attack sets, ``task.query(x, Confident(5.0))`` (Carlini and Wagner 2017, sec. V-D).
    """

    confidence: NonNegative = 0.0

    def __post_init__(self) -> None:
        check_hyperparameters(self)

    def __call__(self, decision: Decision, labels: Tensor, targets: Tensor | None) -> Tensor:
        scores = scores_of(decision)
        if targets is None:
            gap = best_other(scores, wrap(labels)) - pick(scores, wrap(labels))
        else:
            gap = pick(scores, wrap(targets)) - best_other(scores, wrap(targets))
        return raw(gap >= self.confidence)


def scores_of(decision: Decision) -> ep.Tensor:
    """The scores behind a decision, (n, K), for criteria that are conditions of an attack.

    Raises
    ------
    InvalidInput: the decision is one of :meth:`DefendedModel.decide`, which says nothing of scores.
    """
    if decision.scores is None:
        raise InvalidInput("a condition on scores belongs to an attack, task.query(x, condition): it is no criterion")
    return wrap(decision.scores)


@dataclass(frozen=True)
class Both(Criterion):
    """Both criteria hold."""

    first: Criterion
    second: Criterion

    @property
    def needs_targets(self) -> bool:
        return self.first.needs_targets or self.second.needs_targets

    def __call__(self, decision: Decision, labels: Tensor, targets: Tensor | None) -> Tensor:
        return self.first(decision, labels, targets) & self.second(decision, labels, targets)


def default_criterion(model: DefendedModel, targeted: bool) -> Criterion:
    """The goal of the threat model, and past the detector where the model has one."""
    goal: Criterion = Targeted() if targeted else Misclassified()
    return goal & Accepted() if model.rejects else goal
