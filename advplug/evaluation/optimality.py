"""How near an attack comes to the best that is known: local optimality, after AttackBench (Cinà et al., 2024)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from advplug.errors import InvalidInput


def local_optimality(distances: Tensor, best: Tensor, eps_max: float | None = None) -> float:
    """1 for an attack whose accuracy curve is the best one's, 0 for an attack that breaks nothing below ``eps_max``.

    With A the area under accuracy against distance, from 0 to ``eps_max``, and A* that of ``best``, this is
    ``1 - (A - A*) / (clean accuracy * eps_max - A*)``. The curve is a step function, so that A is exactly the mean of
    the distances clipped at ``eps_max``: no grid, and no trapezoids that depend on how many samples there are.

    Parameters
    ----------
    distances: float (N,), the smallest perturbation that the attack found for each sample; inf if it found none.
    best: float (N,), the same for the best attack, as a rule the minimum over many; 0 where the sample is wrong
        without any attack, which then counts as 0 for every attack.
    eps_max: where the curves end; None for the largest finite distance of ``best``, as AttackBench has it.

    Returns
    -------
    float: within [0, 1] if no distance is below that of ``best``, otherwise possibly above 1; NaN if ``best`` itself
        breaks nothing below ``eps_max``, since nothing then tells attacks apart.

    Raises
    ------
    InvalidInput: no samples, different lengths, NaN or negative distances, ``eps_max`` not a positive number, or None
        where no distance of ``best`` is finite and positive.
    """
    ours, least = _checked(distances, "distances"), _checked(best, "best")
    if ours.shape != least.shape:
        raise InvalidInput(f"{len(ours)} distances for {len(least)} of the best: give one of each for every sample")
    end = _largest(least) if eps_max is None else float(eps_max)
    if not (math.isfinite(end) and end > 0):
        raise InvalidInput(f"eps_max is {end}: give a positive number")
    ours = torch.where(least == 0, 0.0, ours)
    lost = (ours.clamp(max=end) - least.clamp(max=end)).mean()  # A - A*
    room = (end - least.clamp(max=end))[least > 0].sum() / len(least)  # clean accuracy * eps_max - A*
    return 1 - float(lost / room) if room > 0 else math.nan


def _checked(distances: Tensor, name: str) -> Tensor:
    values = distances.detach().double().cpu()
    if values.ndim != 1 or not len(values):
        raise InvalidInput(f"{name} of shape {tuple(values.shape)}: give one distance for each of N >= 1 samples")
    if not bool((values >= 0).all()):
        raise InvalidInput(f"{name} has NaN or negative values: give inf where an attack found nothing")
    return values


def _largest(best: Tensor) -> float:
    finite = best[best.isfinite()]
    if not bool((finite > 0).any()):
        raise InvalidInput("best has no distance that is finite and positive: give eps_max")
    return float(finite.max())
