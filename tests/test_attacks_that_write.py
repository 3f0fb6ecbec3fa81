"""Attacks that write into what they are given: it decides no success, and is as before afterwards."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from advplug import ThreatModel, run
from advplug.attack import Attack, Problem, Task
from advplug.engine.gateway import Gateway
from advplug.errors import RobustnessWarning
from advplug.numerics import raw
from advplug.testing.linear import linear_model

EPSILON = 0.001
SHAPE = (1, 4, 4)


def flipped(labels: Tensor) -> None:
    labels.add_(1).remainder_(2)


def trained(task: Task) -> None:
    task.problem.model.train()


def swapped(task: Task) -> None:
    for parameter in task.problem.model.parameters():
        parameter.data.neg_()


WRITES: dict[str, Any] = {
    "labels": lambda task: flipped(raw(task.labels)),
    "inputs": lambda task: raw(task.inputs).copy_(1 - raw(task.inputs)),
    "samples": lambda task: raw(task.samples).zero_(),
    "best points": lambda task: raw(task.best).zero_(),
    "budget": lambda task: raw(task.epsilon).fill_(10),
    "lower and upper": lambda task: (raw(task.lower).fill_(0), raw(task.upper).fill_(1)),
    "labels of the problem": lambda task: flipped(task.problem.labels),
    "inputs of the problem": lambda task: task.problem.inputs.copy_(1 - task.problem.inputs),
    "budget of the problem": lambda task: task.problem.epsilon.fill_(10),
    "weights": swapped,
    "mode": trained,
}


@dataclass(frozen=True, kw_only=True)
class Writing(Attack):
    """Writes first, then shows the clean input and one far away."""

    what: str = "labels"

    def run(self, task: Task) -> None:
        clean = task.inputs.raw.clone()
        WRITES[self.what](task)
        for point in (clean, 1 - clean):
            task.evaluate(task.project(type(task.inputs)(point)))


@dataclass(frozen=True, kw_only=True)
class Preparing(Attack):
    """Writes before the search."""

    def prepare(self, problem: Problem, gateway: Gateway) -> None:
        flipped(problem.labels)
        for parameter in problem.model.parameters():
            parameter.data.neg_()

    def run(self, task: Task) -> None:
        task.evaluate(task.inputs)


class Net(nn.Module):
    """A linear model that is wrong in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = linear_model(2, SHAPE)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.linear(x)
        return -scores if self.training else scores


def given(dtype: torch.dtype) -> tuple[Net, Tensor, Tensor]:
    model = Net().eval().to(dtype)
    x = torch.rand(40, *SHAPE, dtype=dtype, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return model, x, model(x).argmax(1)


def unchanged(attack: Attack, dtype: torch.dtype, targeted: bool = False, **options: Any) -> None:
    """No claim that is not true of the model, the data and the budget as they were."""
    model, x, labels = given(dtype)
    before = x.clone(), labels.clone(), [one.detach().clone() for one in model.parameters()]
    threat, targets = ThreatModel("linf", EPSILON, targeted=targeted), 1 - labels if targeted else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RobustnessWarning)
        result = run(attack, model, x, labels, threat, targets=targets, **options)
    with torch.no_grad():
        wrong = model(result.adversarials).argmax(1) != before[1]
    near = (result.adversarials - before[0]).abs().flatten(1).amax(1) <= EPSILON * (1 + 1e-5)
    assert bool((wrong & near)[result.success].all())
    assert torch.equal(x, before[0])
    assert torch.equal(labels, before[1])
    assert all(torch.equal(one, kept) for one, kept in zip(model.parameters(), before[2], strict=True))
    assert not model.training


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("what", WRITES)
def test_nothing_that_an_attack_writes_to_decides_a_success(what: str, dtype: torch.dtype) -> None:
    unchanged(Writing(what=what), dtype)
    unchanged(Writing(what=what), dtype, targeted=True)
    unchanged(Writing(what=what), dtype, restarts=2, batch_size=7)


def test_overwritten_labels_win_nothing() -> None:
    """Such an attack was believed: 43 successes, of which none was true."""
    model, x, labels = given(torch.float32)
    with pytest.warns(RobustnessWarning, match="broke in the search and not when they were judged again"):
        result = run(Writing(what="labels"), model, x, labels, ThreatModel("linf", EPSILON))
    assert int(result.success.sum()) == 0
    assert result.robust_accuracy == result.clean_accuracy == 1


def test_what_it_writes_before_the_search_is_put_back() -> None:
    unchanged(Preparing(), torch.float32)


def test_changed_weights_are_said() -> None:
    model, x, labels = given(torch.float32)
    with pytest.warns(RobustnessWarning, match="Writing changed weights of the model"):
        run(Writing(what="weights"), model, x, labels, ThreatModel("linf", EPSILON))
