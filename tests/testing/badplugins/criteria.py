"""Criteria: sound ones, and for every check one that fails it. ``BAD`` has them by the name of the check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from advplug.criteria import Criterion
from advplug.model import Decision


@dataclass(frozen=True)
class Good(Criterion):
    """The answer is ``k`` classes or more from the true one."""

    k: int = 2

    def __call__(self, decision: Decision, labels: Tensor, targets: Tensor | None) -> Tensor:
        return (decision.labels - labels).abs() >= self.k


@dataclass(frozen=True)
class GoodWithTargets(Good):
    needs_targets = True

    def __call__(self, decision: Decision, labels: Tensor, targets: Tensor | None) -> Tensor:
        assert targets is not None
        return decision.labels == targets


@dataclass(frozen=True)
class Numbers(Good):
    def __call__(self, decision: Decision, labels: Tensor, targets: Tensor | None) -> Tensor:
        return super().__call__(decision, labels, targets).long()


@dataclass(frozen=True)
class ByMajority(Good):
    def __call__(self, decision: Decision, labels: Tensor, targets: Tensor | None) -> Tensor:
        found = super().__call__(decision, labels, targets)
        return torch.full_like(found, bool(found.double().mean() > 0.3))


@dataclass(frozen=True)
class Everything(Good):
    k: int = 0


@dataclass(frozen=True)
class SilentAboutTargets(GoodWithTargets):
    needs_targets = False


class NoDataclass(Criterion):
    def __init__(self, k: int = 2) -> None:
        self.k = k

    def __call__(self, decision: Decision, labels: Tensor, targets: Tensor | None) -> Tensor:
        return Good(self.k)(decision, labels, targets)


TAGS: dict[str, set[str]] = {}
BAD: dict[str, Any] = {
    "judges_each_sample": Numbers,
    "judges_a_sample_alone": ByMajority,
    "counts_no_right_answer": Everything,
    "says_that_it_needs_targets": SilentAboutTargets,
    "criterion_is_text": NoDataclass,
}
