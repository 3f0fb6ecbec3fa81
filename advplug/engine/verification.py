"""Whether the array that is returned keeps the threat model: bounds and budget, exact to the last digit."""

from __future__ import annotations

import torch
from torch import Tensor

from advplug.engine.region import Region
from advplug.numerics.tensors import lowest_and_highest, norms
from advplug.threat import ThreatModel

TOLERANCE = 1e-6
"""Relative excess over the budget that a float32 array cannot avoid."""

ROUNDING = 1e-3
"""Relative excess over the budget that rounding in a projection may leave; :func:`shrink_to_budget` mends it."""


def shrink_to_budget(candidates: Tensor, inputs: Tensor, epsilon: Tensor | None, threat: ThreatModel) -> Tensor:
    """Shrink perturbations that rounding left a hair outside the budget; anything further out stays and is refused."""
    if epsilon is None or threat.norm == "l0":
        return candidates
    delta = candidates.double() - inputs.double()
    size = norms(delta, threat.norm)
    excess = (size > epsilon) & (size <= epsilon * (1 + ROUNDING))
    scale = torch.where(excess, epsilon * (1 - TOLERANCE) / size.clamp(min=1e-300), 1.0)
    shrunk = (inputs.double() + delta * scale.view(-1, *(1,) * (inputs.ndim - 1))).to(candidates.dtype)
    return torch.where(excess.view(-1, *(1,) * (inputs.ndim - 1)), shrunk, candidates)


def allowed(
    candidates: Tensor, inputs: Tensor, epsilon: Tensor | None, region: Region, tolerance: float = TOLERANCE
) -> Tensor:
    """Whether each candidate (n, ...) is finite, in ``region`` and within the budget; bool (n,)."""
    lowest, highest = lowest_and_highest(candidates)  # NaN where one value is, which no comparison lets pass
    fine = (lowest >= region.bounds[0]) & (highest <= region.bounds[1])
    if not region.uniform:
        low, high = region.limits(inputs, epsilon, candidates.dtype)
        fine &= ((candidates >= low) & (candidates <= high)).flatten(1).all(1)
    if epsilon is not None:
        fine &= norms(candidates.double() - inputs.double(), region.norm) <= epsilon * (1 + tolerance)
    return fine
