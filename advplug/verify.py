"""The last word on a success: the array that is returned, judged afresh by the deployed system."""

from __future__ import annotations

import torch
from torch import Tensor

from advplug.criteria import Criterion
from advplug.errors import NonFiniteLogits
from advplug.model import Decision, DefendedModel
from advplug.ops import lowest_and_highest, norms
from advplug.threat import ThreatModel

TOLERANCE = 1e-6
"""Relative excess over the budget that a float32 array cannot avoid."""

ROUNDING = 1e-3
"""Relative excess over the budget that rounding in an attack's projection may leave; :func:`retract` mends it."""


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


def retract(candidates: Tensor, inputs: Tensor, epsilon: Tensor | None, threat: ThreatModel) -> Tensor:
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


@torch.no_grad()
def decide(model: DefendedModel, x: Tensor, draws: int, rows: int) -> list[Decision]:
    """``draws`` fresh decisions on ``x`` (N, ...), ``rows`` inputs at a time; one is enough if nothing is random."""
    decisions = []
    for _ in range(draws if model.stochastic else 1):
        parts = [_finite_decision(model, chunk) for chunk in x.split(rows)]
        decisions.append(
            Decision(torch.cat([part.labels for part in parts]), torch.cat([part.accepted for part in parts]))
        )
    return decisions


def success_rate(
    model: DefendedModel,
    x: Tensor,
    criterion: Criterion,
    *,
    labels: Tensor,
    targets: Tensor | None,
    draws: int,
    rows: int,
) -> Tensor:
    """Share of ``draws`` fresh decisions on ``x`` that the criterion counts, float32 (N,)."""
    decisions = decide(model, x, draws, rows)
    return torch.stack([criterion(decision, labels, targets) for decision in decisions]).float().mean(0)


def _finite_decision(model: DefendedModel, x: Tensor) -> Decision:
    if model.rejects:
        return model.decide(x)
    logits = model(x)
    bad = ~logits.isfinite().all(1)
    if bool(bad.any()):
        raise NonFiniteLogits(
            f"the model returned NaN or infinite logits for {int(bad.sum())} of {len(x)} inputs: "
            "its answer there is undefined"
        )
    labels = logits.argmax(1)
    return Decision(labels, torch.ones_like(labels, dtype=torch.bool))
