"""The mean of several attacks, each on one fixed draw of a random defense."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from advplug.attack import Attack, Gateway, Problem, Task
from advplug.engine.other_model import on_other_model
from advplug.errors import InvalidInput
from advplug.families.around import AttackAround
from advplug.hyperparameters import Count
from advplug.model import DefendedModel

Sample = Callable[[Tensor, torch.Generator], Tensor]


class FixedDraw(DefendedModel):
    """One random draw of a defense, the same in every pass: a classifier without randomness.

    Row i of a batch keeps its draw as long as the batch has as many rows.
    """

    def __init__(self, model: DefendedModel, sample: Sample, seed: int) -> None:
        super().__init__(model.num_classes, model.bounds)
        self.model = model
        self.seed = seed
        self._sample = sample

    def forward(self, x: Tensor) -> Tensor:
        return self._sample(x, torch.Generator().manual_seed(self.seed))


@dataclass(frozen=True, kw_only=True, repr=False)
class AveragedPerturbation(AttackAround):
    """Attack ``draws`` fixed draws of the defense one by one and add the mean of the perturbations to the input.

    Perturbations that fool one draw each do not add up to one that fools their mean: for that the gradient is averaged
    in every step, which is :class:`advplug.gradients.EOT`. This is here because defenses were evaluated so. A model
    without ``sample(x, generator)`` has one draw, itself.

    Parameters
    ----------
    attack: any attack that needs a budget and prepares nothing.
    draws: over how many draws.
    """

    minimum_norm = False

    attack: Attack
    draws: Count = 10

    @property
    def inner(self) -> Attack:
        return self.attack

    @property
    def planned_steps(self) -> int:
        return self.draws * self.attack.planned_steps

    def prepare(self, problem: Problem, gateway: Gateway) -> Any:
        if problem.epsilon is None or self.attack.stages(problem) is not None or self.attack.needs_auxiliary:
            raise InvalidInput(f"the mean of {type(self.attack).__name__}: name an attack of one stage with a budget")
        return None

    def run(self, task: Task) -> None:
        total = 0 * task.inputs
        models = self._draws(task.problem)
        for number, model in enumerate(models):
            found = on_other_model(
                task,
                self.attack,
                replace(task.problem, model=model),
                loss=task.problem.loss or self.default_loss,
                noise=task.noise.tiled(1, number),  # starts of its own
            )
            task.charge(found.forwards, found.backwards)
            total = total + (found.points - task.inputs)
        task.judge(task.project(task.inputs + total / len(models)))

    def _draws(self, problem: Problem) -> list[DefendedModel]:
        sample = problem.model.capabilities.sample
        if sample is None:
            return [problem.model]
        return [FixedDraw(problem.model, sample, problem.options.seed + draw) for draw in range(self.draws)]
