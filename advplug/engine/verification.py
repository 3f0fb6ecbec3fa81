"""Whether the array that is returned keeps the threat model: bounds and budget, exact to the last digit."""

from __future__ import annotations

import torch
from torch import Tensor

from advplug.numerics.tensors import lowest_and_highest, norms
from advplug.threat import ThreatModel

TOLERANCE = 1e-6
"""Relative excess over the budget that a float32 array cannot avoid."""

ROUNDING = 1e-3
"""Relative excess over the budget that rounding in a projection may leave; :func:`shrink_to_budget` mends it."""


def box(inputs: Tensor, epsilon: Tensor | None, threat: ThreatModel, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Bounds (n, ...) in ``dtype`` of the values that the threat model allows around ``inputs``, rounded inwards."""
    clean = inputs.double()
    lower, upper = torch.full_like(clean, threat.bounds[0]), torch.full_like(clean, threat.bounds[1])
    if threat.norm == "linf" and epsilon is not None:
        radius = epsilon.view(-1, *(1,) * (inputs.ndim - 1))
        lower, upper = torch.maximum(lower, clean - radius), torch.minimum(upper, clean + radius)
    low, high = lower.to(dtype), upper.to(dtype)
    low = torch.where(low.double() < lower, torch.nextafter(low, torch.full_like(low, torch.inf)), low)
    high = torch.where(high.double() > upper, torch.nextafter(high, torch.full_like(high, -torch.inf)), high)
    return torch.minimum(low, inputs.to(dtype)), torch.maximum(high, inputs.to(dtype))


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
    candidates: Tensor, inputs: Tensor, epsilon: Tensor | None, threat: ThreatModel, tolerance: float = TOLERANCE
) -> Tensor:
    """Whether each candidate (n, ...) is finite, in bounds and within the budget; bool (n,)."""
    lowest, highest = lowest_and_highest(candidates)  # NaN where one value is, which no comparison lets pass
    fine = (lowest >= threat.bounds[0]) & (highest <= threat.bounds[1])
    if epsilon is not None:
        fine &= norms(candidates.double() - inputs.double(), threat.norm) <= epsilon * (1 + tolerance)
    return fine
