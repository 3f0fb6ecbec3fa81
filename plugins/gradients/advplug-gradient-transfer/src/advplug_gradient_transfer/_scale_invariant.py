"""Scale-invariant gradients (Lin et al. 2020, section 3.3, equation 8)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from advplug.gradients import Estimate, Exact, GradientEstimator, Objective
from advplug.hyperparameters import Count
from advplug.numerics import Noise


@dataclass(frozen=True)
class ScaleInvariant(GradientEstimator):
    """The mean gradient over the input and copies of it, each half as far from the lower bound as the one before.

    Parameters
    ----------
    copies: how many, the input itself included; 5 in the paper.
    of: where the gradient at each of them comes from.
    """

    copies: Count = 5
    of: GradientEstimator = field(default_factory=Exact)

    def __call__(self, objective: Objective, x: Tensor, noise: Noise, step: int) -> Estimate:
        low = objective.model.bounds[0]
        found = [self.of(objective, low + (x - low) / 2**i, noise, step) for i in range(self.copies)]
        mean = torch.stack([one.gradient / 2**i for i, one in enumerate(found)]).mean(0)
        return found[0]._replace(gradient=mean)
