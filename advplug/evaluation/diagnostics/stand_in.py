"""Whether a surrogate stands for the model that it belongs to (indicator 5 of Pintor et al. 2022)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from advplug.adaptive import Recipe
from advplug.engine.problem import Problem
from advplug.engine.stages import run_attack
from advplug.evaluation.diagnostics.slopes import first_of
from advplug.gradients import Exact
from advplug.model import DefendedModel


class Surrogate(DefendedModel):
    """The surrogate of ``defended``, as a model of its own."""

    def __init__(self, defended: DefendedModel) -> None:
        super().__init__(defended.num_classes, defended.bounds)
        self.defended = defended

    def forward(self, x: Tensor) -> Tensor:
        surrogate = self.defended.capabilities.surrogate
        assert surrogate is not None
        return surrogate(x)


def against_surrogate(recipe: Recipe, problem: Problem, count: int) -> tuple[int, int]:
    """How many of ``count`` samples the attack of ``recipe`` breaks on the surrogate, and how many of these hold."""
    few = first_of(problem, count)
    alone = replace(
        few,
        model=Surrogate(few.model),
        gradient=Exact(),
        loss=None if recipe.attack.fixed_loss else recipe.loss,
        options=replace(few.options, progress=None),
    )
    result = run_attack(recipe.attack, alone)
    rows = (result.success & result.correct).nonzero().squeeze(1)
    if not len(rows):
        return 0, 0
    with few.gateway() as gateway:
        rate = gateway.success_rate(
            gateway.cast(result.adversarials[rows]),
            few.criterion,
            labels=few.labels[rows],
            targets=few.targets[rows] if isinstance(few.targets, Tensor) else None,
            draws=few.options.draws,
        )
    return len(rows), int((rate > torch.full_like(rate, 0.5)).sum())
