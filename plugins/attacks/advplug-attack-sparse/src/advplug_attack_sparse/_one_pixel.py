"""The one-pixel attack (Su et al. 2019) for any number of pixels or values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import eagerpy as ep
import torch
from torch import Tensor

from advplug.attack import IterativeAttack, Task
from advplug.hyperparameters import AtLeast, Count, Positive
from advplug.losses import Loss, Margin
from advplug.numerics import raw, wrap
from advplug_attack_sparse._evolution import children, chosen
from advplug_attack_sparse._units import SparseAttack

START = -3
"""Step of the random numbers of the start, kept apart from those of the steps 0, 1, ..."""


class State(NamedTuple):
    """``x`` the best point (n, ...); ``genes`` float32 (n, P, K, G) of P members and their ``loss`` (n, P).

    A member is K changes, each of G genes in [0, 1): a place, a coordinate for each dimension, and what is put there, a
    number for each channel.
    """

    x: ep.Tensor
    genes: ep.Tensor
    loss: ep.Tensor


@dataclass(frozen=True, kw_only=True)
class OnePixel(SparseAttack, IterativeAttack[State]):
    """Differential evolution over places and colours of as many pixels or values as the budget allows. No gradient.

    ``ThreatModel("l0", 3)`` with ``pixels`` is one pixel of three channels. A child of less loss takes its parent's
    place.

    Parameters
    ----------
    population: members of the population; each costs a query in each generation, and the best one another.
    generations: how often all have children.
    factor: F, by which the difference of two members is scaled.
    """

    norms = ("l0",)

    population: Annotated[int, AtLeast(3)] = 400
    generations: Count = 100
    factor: Positive = 0.5

    @classmethod
    def search_space(cls) -> None:
        """None: its queries are too many for a search of attacks, and Sparse-RS asks for fewer."""

    @property
    def planned_steps(self) -> int:
        """One step for each generation."""
        return self.generations

    @property
    def default_loss(self) -> Loss:
        """The margin: the least one is below 0 if any member is adversarial. The paper takes the probability."""
        return Margin()

    def init(self, task: Task) -> State:
        k = self.units_in_budget(task)
        task.finish(wrap(k < 1))
        shape = (self.population, max(int(k.max()), 1), len(self.grid(task)) + self.channels(task))
        genes = task.noise.uniform(START, shape)
        colours = task.noise.normal(START - 1, (*shape[:2], self.channels(task)))[0]
        genes[..., len(self.grid(task)) :] = (0.5 + 0.5 * colours).clamp(0, 1 - 1e-6)
        return self.judged(task, genes, raw(task.losses(self.drawing(task, genes), self.population)).T)

    def step(self, task: Task, state: State) -> State:
        parents, least = raw(state.genes), raw(state.loss)
        young = children(parents, self.factor, task.noise, task.t)
        loss = raw(task.losses(self.drawing(task, young), self.population)).T
        better = loss < least
        genes = torch.where(better[:, :, None, None], young, parents)
        return self.judged(task, genes, torch.where(better, loss, least))

    def conclude(self, task: Task, state: State) -> None:
        """Nothing: the best of each generation was evaluated."""

    def judged(self, task: Task, genes: Tensor, loss: Tensor) -> State:
        """The state of a population, of which the best member is evaluated."""
        best = chosen(genes, loss.argmin(1, keepdim=True))
        x = self.drawing(task, best)(0, 1)[0]
        task.evaluate(x)
        return State(x, wrap(genes), wrap(loss))

    def grid(self, task: Task) -> tuple[int, ...]:
        """How many places there are along each dimension."""
        return tuple(task.inputs.shape[2 if self.pixels else 1 :])

    def channels(self, task: Task) -> int:
        """How many values there are at each place."""
        return task.inputs.shape[1] if self.pixels else 1

    def drawing(self, task: Task, genes: Tensor) -> Drawing:
        """What makes points of members."""
        return Drawing(task, genes, self.grid(task), self.channels(task), self.units_in_budget(task))


class Drawing:
    """``drawing(first, many)``: the points (many, n, ...) of members number ``first`` on of ``genes`` (n, P, K, G).

    Of the K changes of a sample the first ``k`` (n,) count, and the first one where several have the same place.
    """

    def __init__(self, task: Task, genes: Tensor, grid: tuple[int, ...], channels: int, k: Tensor) -> None:
        self.shape = task.inputs.shape
        self.genes, self.grid, self.k = genes, grid, k
        self.inputs, self.lower, self.upper = (
            raw(values).reshape(len(genes), channels, -1) for values in (task.inputs, task.lower, task.upper)
        )

    def __call__(self, first: int, many: int) -> ep.Tensor:
        genes = self.genes[:, first : first + many].transpose(0, 1)
        owner = self.owners(genes)
        last = genes.shape[2] - 1
        share = genes[..., len(self.grid) :].to(self.inputs)
        share = share.take_along_dim(owner.clamp(max=last)[..., None], 2).transpose(2, 3)
        drawn = self.lower + share * (self.upper - self.lower)
        return wrap(torch.where(owner[:, :, None] <= last, drawn, self.inputs).reshape(many, *self.shape))

    def owners(self, genes: Tensor) -> Tensor:
        """The number of the change that each place gets, int64 (many, n, places); K where it stays as it is."""
        size = torch.tensor(self.grid, device=genes.device)
        cell = (genes[..., : len(self.grid)] * size).long().minimum(size - 1)
        place = cell[..., 0]
        for dimension in range(1, len(self.grid)):
            place = place * self.grid[dimension] + cell[..., dimension]
        number = torch.arange(genes.shape[2], device=genes.device).expand_as(place)
        number = torch.where(number < self.k[:, None], number, genes.shape[2])
        nobody = torch.full((*place.shape[:2], math.prod(self.grid)), genes.shape[2], device=genes.device)
        return nobody.scatter_reduce(2, place, number, "amin")
