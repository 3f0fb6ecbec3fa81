"""The distributionally adversarial attack with the Lagrangian Blob method (Zheng et al. 2019, algorithm 1)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import eagerpy as ep
import torch
from torch import Tensor

from advplug.attack import IterativeAttack, Task
from advplug.hyperparameters import AtLeast, Count, NonNegative, PositiveShare
from advplug.losses import Loss, Margin
from advplug.numerics import per_sample, raw, wrap

START = -3
"""Step of the random numbers of the starts, kept apart from those of the steps 0, 1, ..."""


class State(NamedTuple):
    """``x`` the first particle (n, ...), ``particles`` all of them (n, P, ...)."""

    x: ep.Tensor
    particles: ep.Tensor


@dataclass(frozen=True, kw_only=True)
class DAA(IterativeAttack[State]):
    """Signed steps of several points of each sample, which share their gradients and push each other apart.

    In the paper the points are the images of a batch, and the result for one image depends on the others. Here they
    are ``particles`` of one sample, so that nothing depends on the batch.

    Parameters
    ----------
    steps: steps of each particle; each costs ``particles`` gradients. 200 in the paper.
    particles: how many points each sample has.
    step_size: of a step, as a share of the budget.
    interaction: c, the weight of what the particles do to each other; 0 makes them independent.
    """

    norms = ("linf",)

    steps: Count = 50
    particles: Annotated[int, AtLeast(2)] = 4
    step_size: PositiveShare = 0.1
    interaction: NonNegative = 1.1

    @property
    def default_loss(self) -> Loss:
        """The margin: where cross-entropy saturates, the particles would follow each other alone."""
        return Margin()

    def init(self, task: Task) -> State:
        epsilon = per_sample(task.epsilon, task.inputs)
        starts = [task.start(random=True)]
        for number in range(1, self.particles):
            share = wrap(task.noise.uniform(START - number, tuple(task.inputs.shape[1:])).to(raw(task.inputs)))
            starts.append(task.project(task.inputs + epsilon * (2 * share - 1)))
        return State(starts[0], ep.stack(starts, 1))

    def step(self, task: Task, state: State) -> State:
        gradients = ep.stack([task.gradient(x) for x in self._each(state)], 1)
        direction = self._direction(raw(state.particles).flatten(2), -raw(gradients).flatten(2))
        alpha = self.step_size * per_sample(task.epsilon, state.particles)
        moved = state.particles + alpha * wrap(direction.view(state.particles.shape)).sign()
        particles = [task.project(moved[:, number]) for number in range(self.particles)]
        return State(particles[0], ep.stack(particles, 1))

    def conclude(self, task: Task, state: State) -> None:
        for x in self._each(state):
            task.evaluate(x)

    def _direction(self, theta: Tensor, g: Tensor) -> Tensor:
        """Where the particles go, (n, P, d), from their places ``theta`` and ascents ``g`` of what they maximise.

        ``g + c / P (K g + grad K)`` with the kernel ``K = exp(-D / 2 h^2)`` of the squared distances D, and ``h^2`` the
        median of D over ``2 log P``.
        """
        distances = torch.cdist(theta, theta).square()
        middle = distances.flatten(1).median(1).values[:, None, None]
        bandwidth = (middle / (2 * math.log(self.particles))).clamp(min=torch.finfo(theta.dtype).tiny)
        kernel = (-distances / (2 * bandwidth)).exp()
        apart = (theta * kernel.sum(2, keepdim=True) - kernel @ theta) / bandwidth
        return g + self.interaction / self.particles * (kernel @ g + apart)

    def _each(self, state: State) -> list[ep.Tensor]:
        return [state.particles[:, number] for number in range(self.particles)]
