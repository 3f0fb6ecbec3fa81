"""Adversarial patches at places that are searched for (Karmon et al. 2018, section 3; places by the gradient)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import eagerpy as ep
import torch
from torch import Tensor

from advplug.attack import IterativeAttack, Task
from advplug.errors import InvalidInput
from advplug.hyperparameters import Count, PositiveShare
from advplug.losses import Loss, Margin
from advplug.numerics import as_images, raw, wrap
from advplug_attack_patch._windows import far_from, inside, window_sums


class State(NamedTuple):
    """``x`` the current point (n, ...), ``corner`` int64 (n, 2) of its patch, ``scores`` (n, H, W) of all to come."""

    x: ep.Tensor
    corner: Tensor
    scores: Tensor


@dataclass(frozen=True, kw_only=True)
class Patch(IterativeAttack[State]):
    """Signed gradient steps in a square of the image, at one place after the other.

    The square is the largest one whose values the L0 budget has room for: side floor(sqrt(k / C)) for k values of
    images with C channels. Places are taken in the order of the change that the gradient at the input promises there;
    two of them overlap by less than a quarter. Each sample has its own. A mask keeps the square to a region. The last
    two dimensions are rows and columns, what is before them are channels; a vector is one row.

    Parameters
    ----------
    steps: gradient steps in all.
    places: how many places are tried.
    step_size: the first step at a place, as a share of the width of the bounds; it falls to zero.
    """

    norms = ("l0",)

    steps: Count = 100
    places: Count = 5
    step_size: PositiveShare = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.places > self.steps:
            raise InvalidInput(f"places is {self.places}: give at most one for each of the {self.steps} steps")

    @property
    def default_loss(self) -> Loss:
        """The margin, which does not saturate."""
        return Margin()

    def init(self, task: Task) -> State:
        side = self._side(task)
        task.finish(wrap(side < 1))
        g = task.gradient(task.inputs)
        promised = ep.where(g < 0, task.upper - task.inputs, task.inputs - task.lower) * g.abs()
        scores = window_sums(as_images(raw(promised)).sum(1), side)
        return State(task.inputs, torch.zeros_like(side)[:, None].expand(-1, 2), scores)

    def step(self, task: Task, state: State) -> State:
        t = task.t % self._steps_at_a_place
        if t == 0 and task.t // self._steps_at_a_place < self.places:
            state = self._next_place(task, state)
        width = task.threat.bounds[1] - task.threat.bounds[0]
        alpha = self.step_size * width * (1 - t / self._steps_at_a_place)
        moved = task.clip(state.x - alpha * task.gradient(state.x).sign())
        return state._replace(x=self._within(task, state.corner, moved))

    def _next_place(self, task: Task, state: State) -> State:
        """The best place that is left, with random content; places near it are left out from now on."""
        height, width = state.scores.shape[1:]
        best = state.scores.flatten(1).argmax(1)
        corner = torch.stack((best // width, best % width), 1)
        left = state.scores.masked_fill(~far_from(corner, self._side(task), height, width), -torch.inf)
        left = torch.where(left.isfinite().flatten(1).any(1)[:, None, None], left, state.scores)  # all had their turn
        share = wrap(task.noise.uniform(task.t, tuple(task.inputs.shape[1:])).to(state.x.raw))
        anything = task.lower + share * (task.upper - task.lower)
        return State(self._within(task, corner, anything), corner, left)

    def _within(self, task: Task, corner: Tensor, x: ep.Tensor) -> ep.Tensor:
        """``x`` in the square at ``corner`` (n, 2), the input elsewhere."""
        images = as_images(raw(x))
        square = inside(corner, self._side(task), *images.shape[2:]).expand(images.shape)
        return ep.where(wrap(square.reshape(x.shape)), x, task.inputs)

    def _side(self, task: Task) -> Tensor:
        """Side of each sample's square, int64 (n,)."""
        channels, height, width = as_images(raw(task.inputs)).shape[1:]
        return (raw(task.epsilon) / channels).sqrt().floor().clamp(max=min(height, width)).long()

    @property
    def _steps_at_a_place(self) -> int:
        return self.steps // self.places
