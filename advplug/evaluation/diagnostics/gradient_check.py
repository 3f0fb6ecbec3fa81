"""Whether the gradient is that of the function: against finite differences, and how much the loss jumps nearby."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from advplug.engine.gateway import Gateway
from advplug.engine.problem import Problem
from advplug.evaluation.diagnostics.slopes import first_of, slopes, values
from advplug.gradients import noise_within
from advplug.losses import Margin

SAMPLES, DIRECTIONS, NEIGHBOURS = 16, 8, 10


@dataclass(frozen=True)
class GradientCheck:
    """What was measured; ``advplug.evaluation.landscapes`` is what the report draws.

    Parameters
    ----------
    agreement: correlation, over random directions and samples, of the gradient's slope with the change of the loss:
        1 where the gradient is that of the function, about 0 where it leads nowhere; None where both are zero.
    instability: mean of ``|L(x') - L(x)| / |L(x)|``, at most 1 each, over random x' as far away as the budget
        (indicator 2 of Pintor et al. 2022).
    """

    agreement: float | None
    instability: float


def check_gradient(problem: Problem, seed: int = 0) -> GradientCheck | None:
    """The check at up to 16 samples, of the gradient of the margin; None without a gradient, or if passes differ."""
    few = first_of(problem, SAMPLES)
    few = replace(few, options=replace(few.options, seed=seed))
    step = noise_within(problem.threat, problem.inputs[0].numel())
    with few.gateway() as gateway:
        x = gateway.cast(few.inputs)
        clean, gradient = slopes(Margin(), few, gateway, x)
        if gradient is None or few.model.stochastic:
            return None
        generator = torch.Generator().manual_seed(seed)
        along, change = list[Tensor](), list[Tensor]()
        for _ in range(DIRECTIONS):
            u = torch.randn(x.shape, generator=generator).to(x) * step / 10
            along.append((gradient.nan_to_num(0, 0, 0) * u).flatten(1).sum(1))
            change.append((values(Margin(), few, gateway, x + u) - values(Margin(), few, gateway, x - u)) / 2)
        jumps = list(_jumps(few, gateway, x, clean, generator))
    return GradientCheck(_correlation(torch.stack(along), torch.stack(change)), float(torch.stack(jumps).mean()))


def _jumps(few: Problem, gateway: Gateway, x: Tensor, clean: Tensor, generator: torch.Generator) -> Iterator[Tensor]:
    step = noise_within(few.threat, few.inputs[0].numel())
    for _ in range(NEIGHBOURS):
        away = (2 * torch.rand(x.shape, generator=generator).to(x) - 1) * step
        nearby = (x + away).clamp(*few.threat.bounds)
        yield ((values(Margin(), few, gateway, nearby) - clean).abs() / clean.abs().clamp(min=1e-12)).clamp(max=1)


def _correlation(one: Tensor, other: Tensor) -> float | None:
    """Median over the samples of the cosine between both, (directions, n) each."""
    one, other = one.double(), other.double()
    sizes = one.norm(dim=0) * other.norm(dim=0)
    if not bool((sizes > 0).any()):
        return None
    return float(((one * other).sum(0) / sizes.clamp(min=1e-300)).median())
