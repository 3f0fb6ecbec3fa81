"""Where the search starts: a point of the other side, found by chance or given."""

from __future__ import annotations

import torch
from torch import Tensor

from advplug.attack import Task
from advplug.numerics import raw
from advplug_attack_decision._segment import spread

BLOCKS = (1, 2, 4, 8)
"""Noise comes in blocks of so many values along each side of an image, one size after the other."""


def starting_candidate(task: Task) -> Tensor:
    """What to try as a starting point, (n, ...): the given one first, then noise.

    Uniform noise takes turns with noise of the lowest and highest values, of which a random share is high. A model may
    give all fine uniform noise the class that the sample has.
    """
    if task.starting_points is not None and task.t == 0:
        return raw(task.starting_points)
    x, (low, high) = raw(task.inputs), task.threat.bounds
    values = x[0].numel()
    random = task.noise.uniform(task.t, (values + 1,)).to(x)
    noise = _in_blocks(random[:, :-1].view_as(x), BLOCKS[task.t // 2 % len(BLOCKS)])
    if task.t % 2:
        noise = (noise < spread(random[:, -1], noise)).to(x)
    return low + (high - low) * noise


def _in_blocks(noise: Tensor, block: int) -> Tensor:
    """The first value of each block of ``noise`` (n, ...) throughout that block; a vector has one dimension of them."""
    for dim in range(max(noise.ndim - 2, 1), noise.ndim):
        noise = noise.index_select(dim, torch.arange(noise.shape[dim], device=noise.device) // block * block)
    return noise
