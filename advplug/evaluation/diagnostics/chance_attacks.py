"""What needs no search: random points, one step, all of the input. An attack that loses to them proves nothing."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from advplug.adaptive import Recipe
from advplug.attack import Attack
from advplug.engine.gateway import Gateway
from advplug.engine.problem import Problem
from advplug.engine.stages import run_attack
from advplug.errors import InvalidInput
from advplug.evaluation.diagnostics.random_points import random_points
from advplug.evaluation.diagnostics.slopes import slopes
from advplug.losses import CrossEntropy, Margin
from advplug.numerics.projections import PROJECTIONS
from advplug.numerics.random_numbers import Noise

NOISE = 20
"""Random points that are tried on each sample."""


def broken_by_noise(problem: Problem, draws: int = NOISE) -> Tensor:
    """Which samples of ``problem``, bool (N,), one of ``draws`` random points on the surface of the budget breaks."""
    rows = torch.arange(len(problem.inputs), device=problem.inputs.device)
    broken = torch.zeros(len(rows), dtype=torch.bool, device=rows.device)
    with problem.gateway() as gateway:
        for number in range(draws):
            noise = Noise.of(problem.options.seed, problem.samples, -10 - number)
            broken |= _counts(problem, gateway, random_points(problem, rows, noise))
    return broken


def broken_by_one_step(problem: Problem) -> Tensor:
    """Which samples, bool (N,), one step of the full budget along the exact gradient breaks, of either loss."""
    broken = torch.zeros(len(problem.inputs), dtype=torch.bool, device=problem.inputs.device)
    with problem.gateway() as gateway:
        x = gateway.cast(problem.inputs)
        for loss in (CrossEntropy(), Margin()):
            _, gradient = slopes(loss, problem, gateway, x)
            if gradient is not None:
                broken |= _counts(problem, gateway, _stepped(problem, x, gradient))
    return broken


def left_without_budget(recipe: Recipe, problem: Problem) -> Tensor:
    """Which samples, bool (N,), the attack of ``recipe`` leaves where every input is within the budget."""
    low, high = problem.threat.bounds
    count = problem.inputs[0].numel()
    width = float(high - low)
    epsilon = {"linf": width, "l2": width * count**0.5, "l1": width * count, "l0": float(count)}[problem.threat.norm]
    wide = replace(
        problem,
        threat=replace(problem.threat, epsilon=epsilon),
        epsilon=torch.full_like(problem.labels, 0, dtype=torch.float64) + epsilon,
        options=replace(problem.options, progress=None),
    )
    result = run_attack(recipe.attack, wide)
    return result.correct & ~result.success


def broken_by(attack: Attack, problem: Problem) -> Tensor:
    """Which samples, bool (N,), another attack breaks, with its own loss."""
    if problem.threat.norm not in attack.norms:
        raise InvalidInput(f"{type(attack).__name__} does not work under {problem.threat.norm}")
    plain = replace(problem, loss=None, options=replace(problem.options, progress=None, restarts=1))
    return run_attack(attack, plain).success


def _stepped(problem: Problem, x: Tensor, gradient: Tensor) -> Tensor:
    """The point a full budget down the gradient, (N, ...)."""
    assert problem.epsilon is not None
    threat = problem.threat
    gradient = gradient.nan_to_num(0, 0, 0)
    radius = problem.epsilon.to(x.dtype).view(-1, *(1,) * (x.ndim - 1))
    flat = gradient.flatten(1)
    low, high = problem.region.limits(problem.inputs, problem.epsilon, x.dtype)
    if threat.norm == "linf":
        return torch.minimum(torch.maximum(x - radius * gradient.sign(), low), high)
    length = 2 * radius.flatten(1) / torch.linalg.vector_norm(flat, dim=1, keepdim=True).clamp(min=1e-12)
    clean = x.flatten(1)
    delta = PROJECTIONS[threat.norm](-length * flat, radius.flatten(1), low.flatten(1) - clean, high.flatten(1) - clean)
    return (clean + delta).view_as(x)


def _counts(problem: Problem, gateway: Gateway, points: Tensor) -> Tensor:
    """Whether each of ``points`` (N, ...) is a success in most fresh decisions, bool (N,)."""
    rate = gateway.success_rate(
        gateway.cast(points),
        problem.criterion,
        labels=problem.labels,
        targets=problem.targets if isinstance(problem.targets, Tensor) else None,
        draws=problem.options.draws,
    )
    return rate > 0.5
