"""Losses and gradients at given points, as the diagnostics look at them: no search, and no row that counts them."""

from __future__ import annotations

import torch
from torch import Tensor

from advplug.engine.gateway import Gateway
from advplug.engine.objective import Objective
from advplug.engine.problem import Problem
from advplug.engine.query_counter import QueryCounter
from advplug.errors import AdvplugError
from advplug.gradients import Exact
from advplug.losses import Loss
from advplug.numerics.random_numbers import Noise

SAMPLES = 64
"""How many samples are looked at, at most."""


def first_of(problem: Problem, count: int = SAMPLES) -> Problem:
    """The problem on its first samples."""
    return problem.at(torch.arange(min(count, len(problem.inputs)), device=problem.inputs.device))


def slopes(loss: Loss, problem: Problem, gateway: Gateway, x: Tensor) -> tuple[Tensor, Tensor | None]:
    """``loss`` (n,) and its exact gradient (n, ...) at ``x``, one for each sample; None where it has none."""
    parts = gateway.in_passes(
        lambda rows: _at(loss, problem, gateway, x[rows], rows), torch.arange(len(x), device=x.device)
    )
    values = torch.cat([value for value, _ in parts])
    gradients = [gradient for _, gradient in parts if gradient is not None]
    return values, torch.cat(gradients) if len(gradients) == len(parts) else None


def values(loss: Loss, problem: Problem, gateway: Gateway, x: Tensor) -> Tensor:
    """``loss`` (n,) at ``x``, without a gradient."""
    parts = gateway.in_passes(
        lambda rows: _objective(loss, problem, gateway, rows).value(x[rows])[0],
        torch.arange(len(x), device=x.device),
    )
    return torch.cat(parts)


def unusable(gradient: Tensor | None, count: int) -> Tensor:
    """Whether the gradient of each sample is missing, zero throughout or not finite, bool (n,)."""
    if gradient is None:
        return torch.ones(count, dtype=torch.bool)
    peak = gradient.flatten(1).abs().amax(1)
    return ~((peak > 0) & peak.isfinite()).cpu()


def _at(loss: Loss, problem: Problem, gateway: Gateway, x: Tensor, rows: Tensor) -> tuple[Tensor, Tensor | None]:
    objective = _objective(loss, problem, gateway, rows)
    try:
        estimate = Exact()(objective, x, Noise.of(0, problem.samples[rows], 0), 0)
    except AdvplugError:  # no gradient at all
        return objective.value(x)[0], None
    return estimate.loss, estimate.gradient


def _objective(loss: Loss, problem: Problem, gateway: Gateway, rows: Tensor) -> Objective:
    return problem.objective(gateway, loss, QueryCounter(len(rows), rows.device), rows)
