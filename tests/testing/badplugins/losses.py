"""Losses: sound ones, and for every check one that fails it. ``BAD`` has them by the name of the check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import eagerpy as ep

from advplug.losses import CrossEntropy, Loss, Margin, View


@dataclass(frozen=True)
class Good(Loss):
    """The margin, ``k`` times."""

    k: float = 1.0

    def __call__(self, view: View) -> ep.Tensor:
        return self.k * Margin()(view)


@dataclass(frozen=True)
class GoodTowardsATarget(Good):
    needs_targets = True


@dataclass(frozen=True)
class OneForAll(Good):
    def __call__(self, view: View) -> ep.Tensor:
        return super().__call__(view).mean()


@dataclass(frozen=True)
class AgainstTheMean(Good):
    def __call__(self, view: View) -> ep.Tensor:
        value = super().__call__(view)
        return value - 0.5 * value.mean()


@dataclass(frozen=True)
class Detached(Good):
    def __call__(self, view: View) -> ep.Tensor:
        value = super().__call__(view)
        return ep.astensor(value.raw.detach()) + 0 * view.x.flatten(1).sum(1)


@dataclass(frozen=True)
class Upwards(Good):
    """What a defender minimises."""

    def __call__(self, view: View) -> ep.Tensor:
        return -CrossEntropy()(view)


class NoDataclass(Loss):
    def __init__(self, k: float = 1.0) -> None:
        self.k = k

    def __call__(self, view: View) -> ep.Tensor:
        return self.k * Margin()(view)


TAGS: dict[str, set[str]] = {}
BAD: dict[str, Any] = {
    "gives_one_value_per_sample": OneForAll,
    "loss_of_a_sample_is_its_own": AgainstTheMean,
    "loss_has_a_gradient": Detached,
    "loss_falls_towards_the_goal": Upwards,
    "loss_is_text": NoDataclass,
}
