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
    low, high = task.threat.bounds
    block = BLOCKS[task.t // 2 % len(BLOCKS)]
    return low + (high - low) * (black_and_white(task, block) if task.t % 2 else _uniform(task, block)[0])


def black_and_white(task: Task, block: int) -> Tensor:
    """Noise of 0 and 1 in blocks, (n, ...), of which a random share is 1; another in each step."""
    noise, share = _uniform(task, block)
    return (noise < spread(share, noise)).to(noise)


def _uniform(task: Task, block: int) -> tuple[Tensor, Tensor]:
    """Uniform noise in blocks, (n, ...), and one more number for each sample, (n,)."""
    x = raw(task.inputs)
    random = task.noise.uniform(task.t, (x[0].numel() + 1,)).to(x)
    return _in_blocks(random[:, :-1].view_as(x), block), random[:, -1]


def _in_blocks(noise: Tensor, block: int) -> Tensor:
    """The first value of each block of ``noise`` (n, ...) throughout that block; a vector has one dimension of them."""
    for dim in range(max(noise.ndim - 2, 1), noise.ndim):
        noise = noise.index_select(dim, torch.arange(noise.shape[dim], device=noise.device) // block * block)
    return noise
