"""A search of few lines on linear models, and models that count, for the tests of the engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import eagerpy as ep
import torch
from torch import Tensor, nn

from advplug.attack import IterativeAttack
from advplug.engine.problem import Options, Problem, make_problem
from advplug.engine.task import Task
from advplug.losses import Margin
from advplug.testing.linear import linear_model
from advplug.threat import ThreatModel

LINF = ThreatModel("linf", 0.1)


@dataclass
class Point:
    x: ep.Tensor
    age: ep.Tensor


class Descent(IterativeAttack[Point]):
    """Sign descent with a state of several tensors, one of them of shape (n,)."""

    def __init__(self, *, steps: int = 20, random: bool = False) -> None:
        self.steps, self.random = steps, random

    def init(self, task: Task) -> Point:
        assert task.inputs.shape[0] == task.labels.shape[0]
        x = task.start(self.random)
        return Point(x, ep.zeros(x, x.shape[0]))

    def step(self, task: Task, state: Point) -> Point:
        assert state.age.shape[0] == state.x.shape[0] == task.inputs.shape[0]
        x = task.project(state.x - 0.02 * task.gradient(state.x).sign())
        return Point(x, state.age + 1)


class Counting(nn.Module):
    """Counts the inputs that pass through a model."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module, self.inputs, self.largest = module, 0, 0

    def forward(self, x: Tensor) -> Tensor:
        self.inputs += len(x)
        self.largest = max(self.largest, len(x))
        return self.module(x)  # type: ignore[no-any-return]


def linear_samples(n: int = 40, seed: int = 0, classes: int = 3) -> tuple[nn.Module, Tensor, Tensor]:
    model = linear_model(classes, (10,), seed=3)
    x = torch.rand(n, 10, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return model, x, model(x).argmax(1)


def linear_problem(threat: ThreatModel = LINF, model: nn.Module | None = None, n: int = 40, **words: Any) -> Problem:
    plain, x, y = linear_samples(n)
    options = {name: words.pop(name) for name in list(words) if name in Options.__dataclass_fields__}
    return make_problem(model or plain, x, y, threat, loss=Margin(), options=Options(**options), **words)
