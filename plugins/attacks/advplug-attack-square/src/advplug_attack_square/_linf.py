"""Square Attack under Linf: windows at the ends of the budget (algorithm 2)."""

from __future__ import annotations

import eagerpy as ep
import torch

from advplug.attack import Task
from advplug.families import START
from advplug.numerics import as_images, raw, wrap
from advplug_attack_square._windows import window, window_sides


def stripes(task: Task) -> ep.Tensor:
    """The start: columns of each channel at either end of the budget, (n, ...)."""
    lower, upper = as_images(raw(task.lower)), as_images(raw(task.upper))
    _, channels, _, width = lower.shape
    up = task.noise.uniform(START, (channels, 1, width)) < 0.5
    return wrap(torch.where(up, upper, lower).view_as(raw(task.inputs)))


def recoloured(task: Task, x: ep.Tensor, p: float, proposals: int) -> ep.Tensor:
    """Proposals (proposals, n, ...) for ``x`` (n, ...): each channel of a window goes to one end of the budget."""
    images = as_images(raw(x))
    channels, height, width = images.shape[1:]
    sides = window_sides(p, height, width)
    random = task.noise.uniform(task.t, (proposals, 2 + channels)).transpose(0, 1)
    cells = window(random[..., :2].flatten(0, 1), sides, height, width).view(proposals, len(images), 1, -1)
    cells = cells.expand(-1, -1, channels, -1)
    up = (random[..., 2:] < 0.5)[..., None]
    ends = (as_images(raw(end)) for end in (task.lower, task.upper))
    flat, low, high = (every.flatten(2).expand(proposals, -1, -1, -1) for every in (images, *ends))
    low, high = low.gather(3, cells), high.gather(3, cells)
    nothing_new = (torch.where(up, high, low) == flat.gather(3, cells)).flatten(2).all(2)[..., None, None]
    return wrap(flat.scatter(3, cells, torch.where(up ^ nothing_new, high, low)).view(proposals, *x.shape))
