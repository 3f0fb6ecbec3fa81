"""Random points of a threat model: on the surface of the budget, or within a share of it."""

from __future__ import annotations

import torch
from torch import Tensor

from advplug.engine.problem import Problem
from advplug.numerics.random_numbers import Noise
from advplug.numerics.starting_points import random_start


def random_points(
    problem: Problem, rows: Tensor, noise: Noise, *, share: float = 1.0, on_surface: bool = True
) -> Tensor:
    """A point for each of ``rows``, int64 (n,), of ``problem``, which has a budget; (n, ...) like its inputs.

    ``noise`` holds n streams. The points are drawn from the ball of ``share`` of the budget, and moved to its surface
    if ``on_surface``; they are cut to the bounds, the mask and the budgets of single values.
    """
    assert problem.epsilon is not None
    part = problem.at(rows)
    threat, inputs = part.threat, part.inputs
    assert part.epsilon is not None
    epsilon = part.epsilon * share
    width = threat.bounds[1] - threat.bounds[0]
    delta = random_start(threat.norm, inputs, epsilon.to(inputs.dtype), noise, width) - inputs
    if on_surface:
        delta = _outermost(delta, threat.norm, epsilon)
    points = (inputs + delta).to(inputs.dtype).clamp(*threat.bounds)
    return part.region.hold(points, inputs, epsilon)


def _outermost(delta: Tensor, norm: str, epsilon: Tensor) -> Tensor:
    """``delta`` (n, ...) moved to the surface of the ball of radius ``epsilon`` (n,)."""
    if norm == "l0":
        return delta
    radius = (epsilon * (1 - 1e-6)).to(delta.dtype).view(-1, *(1,) * (delta.ndim - 1))
    if norm == "linf":
        return radius * delta.sign()
    sizes = torch.linalg.vector_norm(delta.flatten(1), ord=1 if norm == "l1" else 2, dim=1).clamp(min=1e-12)
    outermost: Tensor = delta * radius / sizes.view_as(radius)
    return outermost
