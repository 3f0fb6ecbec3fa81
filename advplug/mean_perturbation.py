"""The mean of several attacks, each on one fixed draw of a random defense."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from advplug.attack import Attack
from advplug.errors import InvalidInput
from advplug.losses import Loss
from advplug.model import CanSample, DefendedModel
from advplug.ops import wrap
from advplug.oracle import Oracle
from advplug.problem import Problem
from advplug.task import Task


class FixedDraw(DefendedModel):
    """One random draw of a defense, the same in every pass: a classifier without randomness.

    Row i of a batch keeps its draw as long as the batch has as many rows.
    """

    def __init__(self, model: DefendedModel, seed: int) -> None:
        super().__init__(model.num_classes, model.bounds)
        assert isinstance(model, CanSample)
        self.model = model
        self.seed = seed

    def forward(self, x: Tensor) -> Tensor:
        assert isinstance(self.model, CanSample)
        return self.model.sample(x, torch.Generator().manual_seed(self.seed))


class MeanPerturbation(Attack):
    """Attack ``draws`` fixed draws of the defense one by one and add the mean of the perturbations to the input.

    Perturbations that fool one draw each do not add up to one that fools their mean: for that the gradient is averaged
    in every step, which is :class:`advplug.gradients.EOT`. This is here because defenses were evaluated so. A model
    without ``sample(x, generator)`` has one draw, itself.

    Parameters
    ----------
    attack: any attack that needs a budget and prepares nothing.
    draws: over how many draws.

    Raises
    ------
    InvalidInput: fewer than one draw.
    """

    def __init__(self, *, attack: Attack, draws: int = 10) -> None:
        if draws < 1:
            raise InvalidInput(f"draws is {draws}: give at least 1")
        self.attack = attack
        self.draws = draws
        self.norms = attack.norms  # type: ignore[misc]
        self.fixed_loss = attack.fixed_loss  # type: ignore[misc]

    @property
    def default_loss(self) -> Loss:
        return self.attack.default_loss

    @property
    def planned_steps(self) -> int:
        return self.draws * self.attack.planned_steps

    def prepare(self, problem: Problem, oracle: Oracle) -> Any:
        if problem.epsilon is None or self.attack.stages(problem) is not None or self.attack.needs_auxiliary:
            raise InvalidInput(f"the mean of {type(self.attack).__name__}: name an attack of one stage with a budget")
        return None

    def run(self, task: Task) -> None:
        model = task.problem.model
        models: list[DefendedModel] = [model]
        if isinstance(model, CanSample):
            models = [FixedDraw(model, task.problem.options.seed + draw) for draw in range(self.draws)]
        options = replace(task.problem.options, early_end=False)
        total = torch.zeros_like(task.rows.inputs)
        for number, one in enumerate(models):
            total += self._found(task, replace(task.problem, model=one, options=options), number) - task.rows.inputs
        x = task.project(task.inputs + wrap(total / len(models)))
        for _ in range(options.draws if model.stochastic else 1):
            task.evaluate(x)

    def _found(self, task: Task, problem: Problem, draw: int) -> Tensor:
        """The best points (n, ...) of the attack on ``problem``, successes or not, with its passes charged."""
        own = task.elsewhere(problem, problem.loss or self.default_loss, self.attack.cost, None)
        own.rows = replace(own.rows, noise=task.noise.tiled(1, draw))  # starts of its own
        self.attack.run(own)
        left = own.close()
        spent, samples = own._ledger, task.rows.samples
        task.charge(spent.forwards[samples], spent.backwards[samples])
        found = torch.cat([rows.best_x for rows in left])
        return found[torch.cat([rows.place for rows in left]).argsort()]
