"""Norms, projections and the walk back from an adversarial starting point, one norm at a time for each sample."""

from __future__ import annotations

import eagerpy as ep
import torch

from advplug.attack import Task
from advplug.numerics import PROJECTIONS, per_sample, raw, size, wrap

DUAL = {"linf": "l1", "l2": "l2", "l1": "linf"}
TINY = 1e-38  # keeps zero from being divided by zero


def farthest(task: Task) -> ep.Tensor:
    """The norm of the longest perturbation that fits the bounds, (n,)."""
    low, high = task.threat.bounds
    return size(ep.maximum(task.inputs - low, high - task.inputs), task.threat.norm)


def project(x: ep.Tensor, radius: ep.Tensor, task: Task) -> ep.Tensor:
    """The point nearest to ``x`` within the bounds and within ``radius`` (n,) of the input, (n, ...)."""
    clean = raw(task.inputs).flatten(1)
    low, high = task.threat.bounds
    delta = raw(x).flatten(1) - clean
    delta = PROJECTIONS[task.threat.norm](delta, raw(radius)[:, None], low - clean, high - clean)
    return task.clip(wrap((clean + delta).view_as(raw(x))))


def walked_back(starts: ep.Tensor, steps: int, task: Task) -> ep.Tensor:
    """Adversarial points near the boundary between the inputs and ``starts``, by bisection; else the inputs.

    The points in between are the projections of the start onto ever smaller balls: the straight segment under l2, a
    cut of every value under linf, soft thresholding under l1, the largest changes under l0. A start that is not
    adversarial is of no use, and its sample starts from the input.
    """
    starts = task.clip(starts)
    usable = task.evaluate(starts).success
    whole = size(starts - task.inputs, task.threat.norm)
    low, high = ep.zeros_like(whole), ep.ones_like(whole)
    for _ in range(steps):
        middle = (low + high) / 2
        hit = task.evaluate(project(starts, middle * whole, task)).success
        low, high = ep.where(hit, low, middle), ep.where(hit, middle, high)
    return ep.where(per_sample(usable, starts), project(starts, high * whole, task), task.inputs)


def whole_numbers(count: ep.Tensor) -> ep.Tensor:
    """Rounded down."""
    return wrap(torch.floor(raw(count)))
