"""Square Attack under L2: mass moves from one window to another (algorithm 3)."""

from __future__ import annotations

import eagerpy as ep
import torch
from torch import Tensor

from advplug.attack import Task
from advplug.families import START
from advplug.numerics import as_images, raw, wrap
from advplug_attack_square._bumps import bumps, scaled
from advplug_attack_square._windows import window, window_sides


def tiles(task: Task) -> ep.Tensor:
    """The start: a grid of five by five bumps of random signs, (n, ...)."""
    clean = as_images(raw(task.inputs))
    channels, height, width = clean.shape[1:]
    rows, columns = max(height // 5, 1), max(width // 5, 1)
    grid = (height // rows, width // columns)
    random = task.noise.uniform(START, (channels + 1, *grid))
    sign = torch.where(random[:, 1:] < 0.5, -1.0, 1.0).to(clean)[:, :, :, None, :, None]
    turned = (random[:, :1] < 0.5)[:, :, :, None, :, None]
    down, across = bumps(rows, columns, clean.device, clean.dtype)
    delta = sign * torch.where(turned, across[:, None], down[:, None])
    delta = delta.reshape(len(clean), channels, grid[0] * rows, grid[1] * columns)
    above, left = (height - delta.shape[2]) // 2, (width - delta.shape[3]) // 2
    below, right = height - delta.shape[2] - above, width - delta.shape[3] - left
    return wrap(at_budget(task, torch.nn.functional.pad(delta, (left, right, above, below))))


def moved_mass(task: Task, x: ep.Tensor, p: float, proposals: int) -> ep.Tensor:
    """Proposals (proposals, n, ...) for ``x`` (n, ...).

    A second window gives its mass, and what is left of the budget, to a new bump in the first.
    """
    return wrap(torch.stack([with_bump(task, raw(x), p, number) for number in range(proposals)]))


def with_bump(task: Task, x: Tensor, p: float, number: int) -> Tensor:
    """Proposal ``number`` of a step, (n, ...)."""
    delta = as_images(x - raw(task.inputs))
    channels, height, width = delta.shape[1:]
    sides = window_sides(p, height, width, odd=True)
    random = task.noise.uniform(task.t, (number + 1, 5 + channels))[:, -1]
    first = window(random[:, :2], sides, height, width)[:, None].expand(-1, channels, -1)
    second = window(random[:, 2:4], sides, height, width)[:, None].expand(-1, channels, -1)
    flat = delta.flatten(2)
    left = (raw(task.epsilon).square() - flat.square().sum((1, 2))).clamp(min=0)[:, None, None] / channels
    old = flat.gather(2, first)
    emptied = flat.scatter(2, second, 0).scatter(2, first, 0)
    mass = (flat.square() - emptied.square()).sum(2, keepdim=True)  # of both windows, in each channel
    down, across = (bump.flatten() for bump in bumps(*sides, x.device, x.dtype))
    bump = torch.where(random[:, 4, None, None] < 0.5, across, down)
    sign = torch.where(random[:, 5:, None] < 0.5, -1.0, 1.0).to(x)
    new = sign * bump + scaled(old, 2)
    return at_budget(task, emptied.scatter(2, first, scaled(new, 2) * (left + mass).sqrt()).view_as(delta))


def at_budget(task: Task, delta: Tensor) -> Tensor:
    """The input with a multiple of ``delta``, cut to the bounds, at the norm epsilon.

    The paper cuts after it has brought ``delta`` to that norm, and so loses budget wherever a value saturates.
    """
    clean = raw(task.inputs)
    long = 100 * raw(task.epsilon)[:, None] * scaled(delta.flatten(1), 1)  # its projection is a multiple of it, cut
    return raw(task.project(wrap(clean + long.view_as(clean))))
