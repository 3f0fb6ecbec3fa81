"""The clean decision and the first gradient share a forward pass where the attack begins at the inputs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from descent import LINF, Counting, Descent, Point, linear_samples
from torch import Tensor, nn

from advplug.api import run
from advplug.attack import Attack
from advplug.engine.gateway import LOOKED_AT
from advplug.engine.result import AttackResult
from advplug.engine.task import Task
from advplug.errors import RobustnessWarning
from advplug.gradients import EOT
from advplug.model import PlainModel


class AtInputs(Descent):
    begins_at_inputs = True


class Elsewhere(Descent):
    """Begins beside the inputs."""

    def init(self, task: Task) -> Point:
        state = super().init(task)
        return Point(task.project(state.x + 0.01), state.age)


class Mistaken(Elsewhere):
    """Says that it begins at the inputs, and does not."""

    begins_at_inputs = True


class ScoresAlone(Attack):
    """Says that it begins with a gradient, and takes none."""

    begins_at_inputs = True

    def run(self, task: Task) -> None:
        task.evaluate(task.project(task.inputs + 0.1))


class GradientRefused(nn.Module):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        if x.requires_grad:
            raise RuntimeError("no gradient here")
        return self.module(x)  # type: ignore[no-any-return]


def counted(attack: Attack, *, wrong: int = 0, **options: Any) -> tuple[AttackResult, int]:
    """The result on 40 samples, of which so many are ``wrong``, and the inputs that the model was asked about."""
    model, x, y = linear_samples()
    y = torch.where(torch.arange(40) < wrong, (y + 1) % 3, y)
    counting = Counting(model)
    result = run(attack, PlainModel(counting, 3), x, y, LINF, early_end=False, **options)
    return result, counting.inputs


def assert_equal(one: AttackResult, other: AttackResult) -> None:
    for name in ("adversarials", "success", "correct", "forwards", "backwards"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name
    torch.testing.assert_close(one.trace, other.trace, rtol=0, atol=0, equal_nan=True)


def test_one_pass_less_and_the_same_result() -> None:
    (shared, fewer), (apart, more) = counted(AtInputs(steps=5)), counted(Descent(steps=5))
    assert_equal(shared, apart)
    assert shared.forwards.tolist() == [6] * 40, "a step that shares its pass is charged like any other"
    assert more - fewer == 40 - LOOKED_AT


@pytest.mark.parametrize(
    "options",
    [{"wrong": 3}, {"batch_size": 10}, {"gradient": EOT(2)}, {"targets": "each"}],
    ids=lambda one: next(iter(one)),
)
def test_where_the_first_step_asks_something_else_nothing_is_shared(options: dict[str, Any]) -> None:
    (shared, same), (apart, asked) = (counted(attack(steps=5), **options) for attack in (AtInputs, Descent))
    assert_equal(shared, apart)
    assert same == asked + (LOOKED_AT if "wrong" in options else 0)


def test_what_the_attack_says_of_itself_is_checked() -> None:
    (mistaken, same), (plain, asked) = counted(Mistaken(steps=5)), counted(Elsewhere(steps=5))
    assert_equal(mistaken, plain)
    assert same == asked + LOOKED_AT


def test_a_model_without_a_gradient_is_asked_again() -> None:
    model, x, y = linear_samples()
    result = run(ScoresAlone(), PlainModel(GradientRefused(model), 3), x, y, LINF)
    assert result.correct.all()
    assert_equal(result, run(ScoresAlone(), PlainModel(model, 3), x, y, LINF))
    with pytest.raises(RuntimeError, match="no gradient here"):
        run(AtInputs(steps=1), PlainModel(GradientRefused(model), 3), x, y, LINF)


class OtherwiseWithGradient(nn.Module):
    """Answers with the scores of other classes wherever a gradient is taken."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.module(x)
        return scores.roll(1, 1) if torch.is_grad_enabled() else scores


def test_the_clean_decision_is_that_of_the_system_without_a_gradient() -> None:
    model, x, y = linear_samples()
    strange = PlainModel(OtherwiseWithGradient(model), 3)
    with pytest.warns(RobustnessWarning, match="judged again"):
        shared, apart = (run(attack(steps=2), strange, x, y, LINF) for attack in (AtInputs, Descent))
    assert shared.correct.all()
    assert_equal(shared, apart)


class Writes(nn.Module):
    """Counts its passes in a buffer that its answer is computed from."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.passes: Tensor
        self.register_buffer("passes", torch.ones((), dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        self.passes.add_(1)
        scores: Tensor = self.module(x)
        return scores * (self.passes / self.passes)


def test_a_model_that_writes_to_its_buffers_keeps_its_gradient() -> None:
    model, x, y = linear_samples()
    attacked = (run(attack(steps=5), PlainModel(Writes(model), 3), x, y, LINF) for attack in (AtInputs, Descent))
    assert_equal(*attacked)
