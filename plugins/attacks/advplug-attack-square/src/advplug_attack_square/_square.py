"""Square Attack (Andriushchenko et al. 2020, algorithms 1 to 3)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, NamedTuple

import eagerpy as ep
import torch
from torch import Tensor

from advplug.attack import IterativeAttack, Task
from advplug.errors import InvalidInput
from advplug.losses import CrossEntropy, Loss, Margin, View
from advplug.numerics import per_sample, raw, wrap

SHRINKS_AT = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""When p is halved, for 10,000 queries."""
START = -3  # random numbers of the start, kept apart from those of the steps 0, 1, ...


@dataclass(frozen=True)
class MarginOrCrossEntropy(Loss):
    """The margin without targets, cross-entropy with them: what the paper takes for each goal."""

    def __call__(self, view: View) -> ep.Tensor:
        return Margin()(view) if view.targets is None else CrossEntropy()(view)


class State(NamedTuple):
    """``x`` the best point so far (n, ...), ``loss`` what it has, (n,)."""

    x: ep.Tensor
    loss: ep.Tensor


class Square(IterativeAttack[State]):
    """Random search: change one window at a random place, keep the change where the loss falls. Needs no gradient.

    The last two dimensions are rows and columns, what is before them are channels; a vector is one row. Each sample
    has its own places and signs.

    Parameters
    ----------
    queries: evaluations of each sample, the first one included.
    p_init: share of the image that the first windows cover; it is halved on a schedule that ``queries`` stretches.
    proposals: windows that are tried on a sample at once, of which the best is kept; 1 is the paper's. More take less
        time where samples alone do not fill the device, and as many queries.
    """

    norms: ClassVar[tuple[str, ...]] = ("linf", "l2")

    def __init__(self, *, queries: int = 5000, p_init: float = 0.8, proposals: int = 1) -> None:
        if queries < 2:
            raise InvalidInput(f"queries is {queries}: give at least 2, such as 5000")
        if not 0 < p_init <= 1:
            raise InvalidInput(f"p_init is {p_init}: give a share above 0 and at most 1, such as 0.8")
        if not 1 <= proposals < queries:
            raise InvalidInput(f"proposals is {proposals}: give at least 1, and fewer than queries")
        self.queries = queries
        self.p_init = p_init
        self.proposals = proposals
        self.steps = (queries - 1) // proposals

    @property
    def default_loss(self) -> Loss:
        """The margin; cross-entropy with targets."""
        return MarginOrCrossEntropy()

    def init(self, task: Task) -> State:
        if task.rows.starts is not None:
            x = task.start(random=False)
        else:
            x = wrap((stripes if task.threat.norm == "linf" else tiles)(task))
        return State(x, task.evaluate(x).loss)

    def step(self, task: Task, state: State) -> State:
        propose = recoloured if task.threat.norm == "linf" else moved_mass
        p = self.share(task.t * self.proposals)
        x, loss = task.evaluate_best(wrap(propose(task, raw(state.x), p, self.proposals)))
        better = loss < state.loss
        return State(ep.where(per_sample(better, x), x, state.x), ep.where(better, loss, state.loss))

    def conclude(self, task: Task, state: State) -> None:
        """Nothing: every point was evaluated when it was proposed."""

    def share(self, tried: int) -> float:
        """The share p of the image that the next window covers, after so many windows."""
        halvings = sum(10_000 * tried // self.queries > at for at in SHRINKS_AT)
        return self.p_init * 0.5**halvings


# --- Linf ---


def stripes(task: Task) -> Tensor:
    """The start under Linf: columns of each channel at either end of the budget."""
    lower, upper = as_images(raw(task.lower)), as_images(raw(task.upper))
    _, channels, _, width = lower.shape
    up = task.noise.uniform(START, (channels, 1, width)) < 0.5
    return torch.where(up, upper, lower).view_as(raw(task.inputs))


def recoloured(task: Task, x: Tensor, p: float, proposals: int) -> Tensor:
    """Algorithm 2: each channel of a window goes to one end of the budget, (proposals, n, ...)."""
    lower, upper, images = as_images(raw(task.lower)), as_images(raw(task.upper)), as_images(x)
    channels, height, width = images.shape[1:]
    sides = window_sides(p, height, width)
    random = task.noise.uniform(task.t, (proposals, 2 + channels)).transpose(0, 1)
    cells = window(random[..., :2].flatten(0, 1), sides, height, width).view(proposals, len(x), 1, -1)
    cells = cells.expand(-1, -1, channels, -1)
    of_each = (every.flatten(2).expand(proposals, -1, -1, -1) for every in (images, lower, upper))
    images, low, high = (every if number == 0 else every.gather(3, cells) for number, every in enumerate(of_each))
    up = (random[..., 2:] < 0.5)[..., None]
    nothing_new = (torch.where(up, high, low) == images.gather(3, cells)).flatten(2).all(2)[..., None, None]
    return images.scatter(3, cells, torch.where(up ^ nothing_new, high, low)).view(proposals, *x.shape)


# --- L2 ---


def tiles(task: Task) -> Tensor:
    """The start under L2: a grid of five by five bumps of random signs."""
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
    return at_budget(task, torch.nn.functional.pad(delta, (left, right, above, below)))


def moved_mass(task: Task, x: Tensor, p: float, proposals: int) -> Tensor:
    """Algorithm 3: a second window gives its mass, and what is left of the budget, to a new bump in the first."""
    return torch.stack([with_bump(task, x, p, number) for number in range(proposals)])


def with_bump(task: Task, x: Tensor, p: float, number: int) -> Tensor:
    """Proposal ``number`` of a step, (n, ...)."""
    delta = as_images(x - raw(task.inputs))
    channels, height, width = delta.shape[1:]
    sides = window_sides(p, height, width, odd=True)
    random = task.noise.uniform(task.t, (number + 1, 5 + channels))[:, -1]
    first = window(random[:, :2], sides, height, width)[:, None].expand(-1, channels, -1)
    second = window(random[:, 2:4], sides, height, width)[:, None].expand(-1, channels, -1)
    flat = delta.flatten(2)
    left = (task.epsilon.square() - flat.square().sum((1, 2))).clamp(min=0)[:, None, None] / channels
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
    long = 100 * task.epsilon[:, None] * scaled(delta.flatten(1), 1)  # its projection is a multiple of it, cut
    return raw(task.project(wrap(clean + long.view_as(clean))))


def scaled(values: Tensor, dim: int) -> Tensor:
    """``values`` at Euclidean norm 1 along ``dim``; zero stays zero."""
    size: Tensor = torch.linalg.vector_norm(values, dim=dim, keepdim=True)
    return values / size.clamp(min=1e-12)


@lru_cache
def bumps(height: int, width: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Two opposite bumps (height, width) of norm 1, one below and one beside the other (fig. 4)."""
    return pair(height, width).to(device, dtype), pair(width, height).T.to(device, dtype).contiguous()


def pair(rows: int, columns: int) -> Tensor:
    """A bump over its opposite, float64 (rows, columns)."""
    both = torch.cat((bump(rows // 2, columns), -bump(rows - rows // 2, columns)))
    return scaled(both.flatten(), 0).view_as(both)


def bump(rows: int, columns: int) -> Tensor:
    """Falls from the middle to the edge like a sum of nested squares of weight 1 / k^2, (rows, columns), norm 1."""
    row = (torch.arange(rows) - rows // 2).abs()[:, None]
    column = (torch.arange(columns) - columns // 2).abs()[None]
    reach = max(rows // 2, columns // 2) + 1
    weights = 1 / torch.arange(1, reach + 1, dtype=torch.float64).square()
    height = weights.flip(0).cumsum(0).flip(0)[torch.maximum(row, column)]
    return scaled(height.flatten(), 0).view_as(height)


# --- windows ---


def as_images(x: Tensor) -> Tensor:
    """``x`` (n, ...) as (n, channels, rows, columns)."""
    return x[:, None, None] if x.ndim == 2 else x.reshape(len(x), -1, *x.shape[-2:])


def window_sides(p: float, height: int, width: int, odd: bool = False) -> tuple[int, int]:
    """Rows and columns of a window over the share ``p`` of an image, a square if it fits; ``odd`` from three on."""
    smallest = 3 if odd else 1
    side = max(round(math.sqrt(p * height * width)), smallest)
    side += odd and side % 2 == 0
    short = min(side, height, width)
    if short == side:
        return side, side
    long = max(round(p * height * width / short), smallest)
    return (short, min(long, width)) if height < width else (min(long, height), short)


def window(place: Tensor, sides: tuple[int, int], height: int, width: int) -> Tensor:
    """Indices (n, sides[0] * sides[1]) into flattened images of a window at ``place`` (n, 2), uniform on [0, 1)."""
    top, left = (place[:, :1] * (height - sides[0] + 1)).long(), (place[:, 1:] * (width - sides[1] + 1)).long()
    rows = top + torch.arange(sides[0], device=place.device)
    columns = left + torch.arange(sides[1], device=place.device)
    return (rows[:, :, None] * width + columns[:, None, :]).flatten(1)
