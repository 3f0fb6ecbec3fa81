"""Small models for tests of the search: linear ones, of which the truth is known, in the open and behind something."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from advplug import AttackSpec, hookimpl
from advplug.adaptive import Recipe
from advplug.attack import IterativeAttack, Point, Problem, Task
from advplug.composition import Searching
from advplug.data import Images
from advplug.engine.problem import make_problem
from advplug.evaluation import model_job
from advplug.model import DefendedModel
from advplug.records import Job
from advplug.records.composition import Composition
from advplug.testing.linear import largest_change, linear_model
from advplug.threat import ThreatModel

LINF = ThreatModel("linf", 0.08)


class Behind(nn.Module):
    """A linear model with two classes, whose scores go through ``after``."""

    def __init__(self, after: Callable[[Tensor], Tensor] = lambda z: z) -> None:
        super().__init__()
        self.linear, self.after = linear_model(2, (1, 4, 4)).float(), after

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.linear(x))


def rounded(z: Tensor) -> Tensor:
    """One decimal."""
    return (z * 10).round() / 10


class Noisy(DefendedModel):
    """The linear model behind a rounding of scores that differ from call to call."""

    stochastic = True

    def __init__(self) -> None:
        super().__init__(2)
        self.net = Behind()

    def forward(self, x: Tensor) -> Tensor:
        scores = self.net(x)
        return rounded(scores + 0.02 * torch.randn_like(scores))


class Deadly(Behind):
    """Ends every process but the one that the search began in."""

    def __init__(self) -> None:
        super().__init__()
        self.home = os.getpid()

    def forward(self, x: Tensor) -> Tensor:
        if os.getpid() != self.home:
            os._exit(9)
        return rounded(super().forward(x))


def images(count: int = 24) -> Images:
    """Inputs on which the model is right, none of them a tie behind the rounding."""
    x = torch.rand(4 * count, 1, 4, 4, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        scores = Behind(rounded)(x)
    clear = (scores[:, 0] - scores[:, 1]).abs() > 0.15
    return Images(x[clear][:count], scores.argmax(1)[clear][:count])


def breakable(data: Images, epsilon: float = 0.08) -> tuple[Tensor, Tensor]:
    """Which samples can be broken for certain, and which cannot, bool (N,); rounding decides on the others."""
    model = Behind()
    weight = next(model.parameters()).detach().double()
    push, flat = weight[data.labels] - weight[1 - data.labels], data.inputs.flatten(1).double()
    with torch.no_grad():
        scores = model(data.inputs).double()
    margin = scores.gather(1, data.labels[:, None]).squeeze(1) - scores.gather(1, 1 - data.labels[:, None]).squeeze(1)
    reach = largest_change(push, flat, "linf", epsilon, (0.0, 1.0))
    return reach > margin + 0.11, reach < margin - 0.11


def problem_of(model: nn.Module, data: Images | None = None) -> Problem:
    """``model`` on the images, within the budget."""
    data = data or images()
    return make_problem(model, data.inputs, data.labels, LINF)


def job_of(model: nn.Module, data: Images | None = None, **settings: Any) -> Job:
    """The same as a job with the search as its attack."""
    recipe = Recipe(name="search", attack=Searching())
    return model_job("toy", model, data or images(), LINF, [recipe], **settings)


@dataclass(frozen=True, kw_only=True)
class Lower(IterativeAttack[Point]):
    """Every value a little lower."""

    steps: int = 1

    def init(self, task: Task) -> Point:
        return Point(task.project(task.inputs - 0.05))

    def step(self, task: Task, state: Point) -> Point:
        task.evaluate(state.x)
        return state


class Toys:
    """A plugin that somebody installs."""

    @hookimpl
    def advplug_attacks(self) -> list[AttackSpec]:
        return [
            AttackSpec(
                name="lower", factory=f"{__name__}:Lower", summary="Every value a little lower.", reference="none"
            )
        ]


def tenths() -> Images:
    """Ten images of tenths, all of class 0."""
    x = torch.randint(7, 10, (10, 1, 4, 4), generator=torch.Generator().manual_seed(0)).float() / 10
    return Images(x, torch.zeros(10, dtype=torch.int64))


def timeless(composition: Composition) -> dict[str, Any]:
    """The record without what the clock says."""
    document = composition.to_json()
    for entry in (document, *document["trials"]):
        for name in ("seconds", "standard_seconds"):
            entry.pop(name, None)
    return document
