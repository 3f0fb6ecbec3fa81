"""Attacks that choose their next stage by what the ones before left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn

from advplug.adaptive import Recipe
from advplug.attack import Attack, Course, Problem, Stage, Task
from advplug.data import Images
from advplug.engine.problem import make_problem
from advplug.engine.stages import advance, run_attack, run_sweep
from advplug.errors import NoGradient, RobustnessWarning
from advplug.evaluation import evaluate, model_job
from advplug.evaluation.executors import Inline
from advplug.losses import Margin
from advplug.testing.linear import linear_model
from advplug.threat import ThreatModel

LINF = ThreatModel("linf", 0.1)


class Along(Attack):
    """A share of the budget against the gradient."""

    def __init__(self, *, share: float) -> None:
        self.share = share

    def run(self, task: Task) -> None:
        task.evaluate(task.project(task.inputs - self.share * 0.1 * task.gradient(task.inputs).sign()))


@dataclass(frozen=True, kw_only=True)
class Chooser(Attack):
    """One stage that is known, then longer ones as long as samples stand; each choice costs 7 forward passes."""

    fixed_loss = True
    chooses_stages = True

    most: int = 3

    def run(self, task: Task) -> None:
        raise AssertionError("the engine runs the stages")

    def stages(self, problem: Problem) -> Sequence[Stage]:
        return [Stage("first", Along(share=0.1), replace(problem, loss=Margin()))]

    def next_stage(self, problem: Problem, course: Course) -> Stage | None:
        before = course.before
        if course.planned is not None or before is None:
            return course.planned
        standing = before.correct & ~before.success
        number = len(before.stages)
        ASKED.append(number)
        if number > self.most or not bool(standing.any()):
            return None
        spent = torch.where(standing, 7, 0)
        share = 0.3 * number
        return Stage(
            f"{share:.1f}", Along(share=share), replace(problem, loss=Margin()), (spent, torch.zeros_like(spent))
        )


ASKED: list[int] = []


def case(count: int = 30) -> tuple[nn.Module, Tensor, Tensor]:
    model = linear_model(3, (10,), seed=2).float()
    x = torch.rand(count, 10, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return model, x, model(x).argmax(1)


def test_each_choice_sees_the_survivors_and_is_charged() -> None:
    result = run_attack(Chooser(), make_problem(*case(), LINF))
    assert result.stages == ("first", "0.3", "0.6", "0.9")
    assert len(set(result.stage.tolist())) == 5, "some fall at each stage, some never"
    chosen = torch.where(result.stage < 0, 3, result.stage)
    assert torch.equal(result.forwards, 2 * (1 + chosen) + 7 * chosen)


def test_it_advances_stage_by_stage_with_one_choice_each() -> None:
    problem = make_problem(*case(), LINF)
    whole = run_attack(Chooser(), problem)
    ASKED.clear()
    result, done = advance(Chooser(), problem, None)
    steps = 1
    while not done:
        result, done = advance(Chooser(), problem, result)
        steps += 1
    assert (steps, ASKED) == (5, [1, 2, 3, 4])
    assert result.stages == whole.stages
    assert torch.equal(result.adversarials, whole.adversarials)
    assert torch.equal(result.forwards, whole.forwards)


def test_it_ends_where_nothing_stands() -> None:
    model, x, y = case()
    result = run_attack(Chooser(most=9), make_problem(model, x, y, ThreatModel("linf", 1.0)))
    assert result.robust_accuracy == 0
    assert 1 < len(result.stages) < 10


def test_a_repeated_one_goes_on_choosing() -> None:
    problem = make_problem(*case(), LINF)
    once, twice = run_attack(Chooser(), problem), run_attack(Chooser().repeat(2), problem)
    assert twice.stages == once.stages
    assert torch.equal(twice.success, once.success)
    assert bool((twice.forwards > once.forwards).any())


def test_a_sweep_names_the_stages_of_all_its_budgets() -> None:
    problem = make_problem(*case(), ThreatModel("linf", 0.2))
    budgets = (0.02, 0.1, 1.0)

    class ByBudget(Chooser):
        def next_stage(self, problem: Problem, course: Course) -> Stage | None:
            stage = super().next_stage(problem, course)
            if stage is None or course.planned is not None:
                return stage
            return stage._replace(name=f"{stage.name} at {problem.threat.epsilon}")

    results = run_sweep(ByBudget(most=2), problem, budgets)
    assert results[1].stages == ("first", "0.3 at 0.1", "0.6 at 0.1", "0.3 at 0.02", "0.6 at 0.02")
    for result in results:
        assert result.evaluations.shape[1] == len(result.stages)
        assert bool((result.stage[result.success] >= 0).all())
        left = [share for _, share in result.accuracy_after_stages()]
        assert min(left) == result.robust_accuracy
    left = [result.robust_accuracy for result in results]
    assert left == sorted(left, reverse=True)


class Table(nn.Module):
    """Levels of each value are looked up in a table, which has none beyond 0 and 1."""

    def forward(self, x: Tensor) -> Tensor:
        levels = (x * 31).round().long()
        if int(levels.min()) < 0:
            raise IndexError("an input is below 0")
        return case()[0](torch.linspace(0, 1, 32)[levels])


def test_finite_differences_after_a_stage_that_is_left_out_stay_within_the_bounds() -> None:
    _, x, y = case()
    with pytest.warns(RobustnessWarning, match="Not run: first"):
        result = run_attack(Chooser(most=0), make_problem(Table(), x, y, LINF))
    assert result.stages == ("first, finite differences",)
    assert result.left_out == ("first",)


def test_one_that_chooses_what_cannot_run_again_and_again_is_an_error() -> None:
    _, x, y = case()
    with pytest.raises(NoGradient):
        run_attack(Chooser(most=5), make_problem(Table(), x, y, LINF))


def test_slices_may_choose_for_themselves() -> None:
    model, x, y = case(600)
    job = model_job("toy", model, Images(x, y), LINF, [Recipe(name="chooser", attack=Chooser())])
    (row,) = evaluate(job, executor=Inline()).rows
    parts = [
        run_attack(Chooser(), make_problem(model, x[rows], y[rows], LINF)) for rows in torch.arange(600).split(256)
    ]
    assert row.robust_accuracy == 1 - float(torch.cat([part.success for part in parts]).double().mean())
    assert [name for name, _ in row.stages] == ["first", "0.3", "0.6", "0.9"]
