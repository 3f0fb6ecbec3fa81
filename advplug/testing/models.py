"""Tiny models and data from fixed seeds, and an attack that remembers what it was asked to evaluate."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import eagerpy as ep
import torch
from torch import Tensor, nn

from advplug.api import run
from advplug.attack import Attack, Gateway, Stage
from advplug.data import Images
from advplug.engine.problem import Problem
from advplug.engine.result import AttackResult
from advplug.engine.task import Task
from advplug.families.around import AttackAround
from advplug.model import DefendedModel, PlainModel
from advplug.numerics.tensors import raw
from advplug.testing.linear import linear_model
from advplug.threat import Norm, ThreatModel

IMAGE = (3, 4, 4)
CLASSES = 4
UNIT = (0.0, 1.0)
OWN_IMAGES = 64
"""How many images a case brings for attacks that learn from the attacker's own."""


@dataclass(frozen=True)
class Case:
    """A model, ``inputs`` (N, ...) in ``bounds``, and the ``labels`` (N,) it gives them; ``auxiliary`` has others."""

    model: DefendedModel
    inputs: Tensor
    labels: Tensor
    bounds: tuple[float, float] = UNIT
    auxiliary: Images | None = None

    def threat(self, norm: Norm, share: float = 1.0, *, targeted: bool = False) -> ThreatModel:
        """A budget that breaks most samples of :func:`linear_case`, times ``share``; random noise breaks few."""
        width = self.bounds[1] - self.bounds[0]
        size = self.inputs[0].numel()
        budget = {"linf": 0.1 * width, "l2": 0.1 * math.sqrt(size) * width, "l1": 0.06 * size * width, "l0": size / 8}
        epsilon = share * budget[norm]
        return ThreatModel(norm, float(math.floor(epsilon)) if norm == "l0" else epsilon, self.bounds, targeted)


def defended(module: nn.Module, classes: int = CLASSES, bounds: tuple[float, float] = UNIT) -> DefendedModel:
    """``module`` as a model without a defense, in evaluation mode."""
    model = PlainModel(module, classes, bounds)
    model.eval()
    return model


def linear_case(
    count: int = 8,
    *,
    classes: int = CLASSES,
    shape: tuple[int, ...] = IMAGE,
    bounds: tuple[float, float] = UNIT,
    margin: float = 0.0,
    dtype: torch.dtype = torch.float32,
) -> Case:
    """A linear model and random inputs; ``margin`` keeps them that share of the range away from the bounds.

    The attacker's own images fill the whole range: close to its middle the model gives all of them the same class.
    """
    model = linear_model(classes, shape, dtype=dtype)
    low, high = bounds

    def labelled(count: int, seed: int, margin: float) -> tuple[Tensor, Tensor]:
        share = torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        inputs = (low + (high - low) * (margin + (1 - 2 * margin) * share)).to(dtype)
        with torch.no_grad():
            return inputs, model(inputs).argmax(1)

    inputs, labels = labelled(count, 1, margin)
    return Case(defended(model, classes, bounds), inputs, labels, bounds, Images(*labelled(OWN_IMAGES, 2, 0.0)))


def network_case(count: int = 8) -> Case:
    """A network with everything that an attack could disturb: batch statistics, dropout, parameters, gradients."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(16, CLASSES)
    model = defended(nn.Sequential(*layers))
    inputs = torch.rand(count + OWN_IMAGES, *IMAGE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        labels = model(inputs).argmax(1)
    return Case(model, inputs[:count], labels[:count], auxiliary=Images(inputs[count:], labels[count:]))


class Watched(AttackAround):
    """``attack``, with every point that it evaluates kept in ``points``: triples (point, clean input, budget).

    The budget is None for a minimum-norm attack, which may look beyond it. ``written`` names what it wrote to of what
    it was given: inputs, labels.
    """

    def __init__(self, attack: Attack) -> None:
        self.attack = attack
        self.points: list[tuple[Tensor, Tensor, Tensor | None]] = []
        self.written: set[str] = set()

    @property
    def inner(self) -> Attack:
        return self.attack

    def stages(self, problem: Problem) -> Sequence[Stage] | None:
        stages = self.attack.stages(problem)
        return None if stages is None else [stage._replace(attack=self._alike(stage.attack)) for stage in stages]

    def _alike(self, attack: Attack) -> Watched:
        """``attack``, watched with the same list of points and of what was written to."""
        watched = Watched(attack)
        watched.points, watched.written = self.points, self.written
        return watched

    def prepare(self, problem: Problem, gateway: Gateway) -> Any:
        return self.attack.prepare(problem, gateway)

    def run(self, task: Task) -> None:
        for name in ("query", "evaluate"):
            setattr(task, name, self._watching(getattr(task, name), task))
        given = {"inputs": (task.problem.inputs, raw(task.inputs)), "labels": (task.problem.labels, raw(task.labels))}
        before = {name: [part.clone() for part in parts] for name, parts in given.items()}
        self.attack.run(task)
        for name, parts in given.items():
            if not all(map(torch.equal, parts, before[name])):
                self.written.add(name)

    def _watching(self, function: Callable[..., Any], task: Task) -> Callable[..., Any]:
        def watched(x: ep.Tensor, *given: Any, **named: Any) -> Any:
            budgets = None if self.minimum_norm else task.problem.epsilon
            epsilon = None if budgets is None else budgets[raw(task.samples)]
            self.points.append((raw(x).detach().clone(), raw(task.inputs).clone(), epsilon))
            return function(x, *given, **named)

        return watched


def attacked(attack: Attack, case: Case, threat: ThreatModel, **options: Any) -> AttackResult:
    """Run ``attack`` on copies of the inputs and labels of a case."""
    inputs, labels = case.inputs.clone(), case.labels.clone()
    return run(attack, case.model, inputs, labels, threat, auxiliary=case.auxiliary, **options)


class NaNAway(nn.Module):
    """A linear model whose logits are NaN wherever an input value leaves the grid of (k + 1/2) / 16."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = linear_model(CLASSES, IMAGE, dtype=torch.float32)

    def forward(self, x: Tensor) -> Tensor:
        place = x * 16 - 0.5
        away = ((place - place.round()).abs() > 1e-4).flatten(1).any(1, keepdim=True)
        logits: Tensor = self.inner(x)
        return torch.where(away, torch.nan, logits)

    @classmethod
    def case(cls, count: int = 8) -> Case:
        """This model, and inputs on the grid."""
        model = defended(cls())
        grid = torch.randint(16, (count + OWN_IMAGES, *IMAGE), generator=torch.Generator().manual_seed(1))
        inputs = (grid + 0.5) / 16
        with torch.no_grad():
            labels = model(inputs).argmax(1)
        return Case(model, inputs[:count], labels[:count], auxiliary=Images(inputs[count:], labels[count:]))


def count_rows(model: nn.Module) -> Callable[[], int]:
    """A function that says how many inputs have gone through ``model`` since."""
    seen: list[int] = []
    model.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    return lambda: sum(seen)
