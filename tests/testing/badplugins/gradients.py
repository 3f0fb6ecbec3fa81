"""Gradient estimators: a sound one, and for every check one that fails it; ``BAD`` has them by the check's name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from advplug.engine.objective import Objective
from advplug.gradients import Estimate, Exact, GradientEstimator
from advplug.numerics.random_numbers import Noise


@dataclass(frozen=True)
class Good(GradientEstimator):
    """The exact gradient with some noise on it."""

    size: float = 0.01

    def __call__(self, objective: Objective, x: Tensor, noise: Noise, step: int) -> Estimate:
        found = Exact()(objective, x, noise, step)
        return found._replace(gradient=found.gradient + self.size * noise.normal(step, tuple(x.shape[1:]))[0])


@dataclass(frozen=True)
class OneForAll(Good):
    def __call__(self, objective: Objective, x: Tensor, noise: Noise, step: int) -> Estimate:
        found = super().__call__(objective, x, noise, step)
        return found._replace(gradient=found.gradient.mean(0))


@dataclass(frozen=True)
class Scaled(Good):
    def __call__(self, objective: Objective, x: Tensor, noise: Noise, step: int) -> Estimate:
        found = super().__call__(objective, x, noise, step)
        return found._replace(gradient=found.gradient / found.gradient.norm())


@dataclass(frozen=True)
class OnItsOwn(Good):
    """Draws from the global generator, and so little that two batches agree."""

    def __call__(self, objective: Objective, x: Tensor, noise: Noise, step: int) -> Estimate:
        found = super().__call__(objective, x, noise, step)
        return found._replace(gradient=found.gradient + 3e-6 * torch.rand_like(x))


@dataclass(frozen=True)
class Downwards(Good):
    def __call__(self, objective: Objective, x: Tensor, noise: Noise, step: int) -> Estimate:
        found = super().__call__(objective, x, noise, step)
        return found._replace(gradient=-found.gradient)


@dataclass(frozen=True)
class Uncounted(Good):
    def __call__(self, objective: Objective, x: Tensor, noise: Noise, step: int) -> Estimate:
        with torch.no_grad():
            objective.model(x)
        return super().__call__(objective, x, noise, step)


class NoDataclass(GradientEstimator):
    def __init__(self, size: float = 0.01) -> None:
        self.size = size

    def __call__(self, objective: Objective, x: Tensor, noise: Noise, step: int) -> Estimate:
        return Good(self.size)(objective, x, noise, step)


TAGS: dict[str, set[str]] = {}
BAD: dict[str, Any] = {
    "estimates_for_each_sample": OneForAll,
    "estimate_of_a_sample_is_its_own": Scaled,
    "estimate_follows_its_noise": OnItsOwn,
    "estimate_points_up_the_loss": Downwards,
    "counts_its_own_passes": Uncounted,
    "estimator_is_text": NoDataclass,
}
