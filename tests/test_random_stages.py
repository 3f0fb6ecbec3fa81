"""Stages on a random model: they go on with samples that fall in many draws and not in all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from advplug.adaptive import Recipe
from advplug.attack import Attack, Problem, Stage, Task
from advplug.data import Images
from advplug.engine.problem import make_problem
from advplug.engine.result import AttackResult
from advplug.engine.stages import run_attack, run_cascade, run_sweep
from advplug.evaluation import evaluate, model_job
from advplug.evaluation.storage.piece import Piece, joined
from advplug.model import DefendedModel
from advplug.threat import ThreatModel

LINF = ThreatModel("linf", 0.1)
COUNT = 100


class Fading(DefendedModel):
    """Right on inputs of one half; wrong in so many draws once these are moved, and in others as they move further."""

    stochastic = True

    def __init__(self, near: float = 0.7, far: float = 1.0) -> None:
        super().__init__(2)
        self.near, self.far = near, far

    def forward(self, x: Tensor) -> Tensor:
        moved = (x - 0.5).abs().amax(1, keepdim=True)
        share = torch.where(moved < 1e-6, 0.0, torch.where(moved < 0.075, self.near, self.far))
        wrong = (torch.rand(len(x), 1) < share).float()
        return torch.cat((1 - wrong, wrong), 1) + 0 * x.sum(1, keepdim=True)


@dataclass(frozen=True, kw_only=True)
class Move(Attack):
    """Every value by so much."""

    by: float = 0.05

    def run(self, task: Task) -> None:
        task.evaluate(task.project(task.inputs + self.by))


@dataclass(frozen=True, kw_only=True)
class Moves(Attack):
    """Several of them, one after the other."""

    by: tuple[float, ...] = (0.05, 0.1)

    def run(self, task: Task) -> None:
        raise AssertionError("the engine runs the stages")

    def stages(self, problem: Problem) -> Sequence[Stage]:
        return [Stage(f"move {number}", Move(by=by), problem) for number, by in enumerate(self.by)]


def problem_of(model: DefendedModel, threat: ThreatModel = LINF) -> Problem:
    return make_problem(model, torch.full((COUNT, 4), 0.5), torch.zeros(COUNT).long(), threat)


def result_of(model: DefendedModel, *by: float) -> AttackResult:
    return run_attack(Moves(by=by), problem_of(model))


def test_a_later_stage_attacks_what_falls_in_most_draws_and_brings_the_better_point() -> None:
    result = result_of(Fading(), 0.05, 0.1)
    (_, first), (_, last) = result.accuracy_after_stages()
    assert abs(first - 0.51) < 0.1, "the draw in which it is tried must fall, too, for the point to be kept"
    assert (last, result.robust_accuracy) == (0, 0)
    assert not result.standing.any()
    assert result.standing_after(1).sum() > COUNT / 2
    far = (result.adversarials - 0.6).abs().amax(1) < 1e-6
    assert torch.equal(far, result.stage == 1)
    assert torch.equal(far, result.distance > 0.09)
    assert far[result.standing_after(1)].all(), "each point with its own distance and stage"
    assert result.success.all()


def test_a_worse_point_changes_nothing_and_what_falls_for_certain_is_not_attacked_again() -> None:
    weaker = result_of(Fading(near=0.7, far=0.2), 0.05, 0.1)
    alone = result_of(Fading(near=0.7, far=0.2), 0.05)
    assert weaker.robust_accuracy <= alone.robust_accuracy
    assert ((weaker.adversarials - 0.5).abs().amax(1) < 0.06).all()
    assert (weaker.stage[weaker.success] == 0).all()
    certain = result_of(Fading(), 0.1, 0.05)
    assert (certain.forwards == 1).all(), "the second stage has nothing to do"
    assert (certain.stage == 0).all()


def test_many_stages_do_not_break_more_draws_by_chance() -> None:
    """The most of twelve estimates of 0.6 by ten draws is 0.8 or more."""
    result = result_of(Fading(near=0.6), *12 * (0.05,))
    assert abs(result.robust_accuracy - 0.4) < 0.08


def test_a_least_norm_is_not_given_up_for_a_point_that_breaks_more_draws() -> None:
    class Least(Move):
        minimum_norm = True

    problem = problem_of(Fading(), ThreatModel("linf", None))
    near, result = run_cascade([(Least(by=by), problem) for by in (0.05, 0.1)])
    near = near.success
    assert COUNT / 2 < near.sum() < COUNT
    assert result.success.all()
    assert (result.distance[near] < 0.06).all()


def test_a_larger_budget_goes_on_with_what_a_smaller_one_broke_in_part() -> None:
    small, large = run_sweep(Move(by=1.0), problem_of(Fading()), (0.05, 0.1))
    assert abs(small.robust_accuracy - 0.51) < 0.1
    assert large.robust_accuracy == 0


def test_rates_are_kept_in_pieces_and_tables(tmp_path: Path) -> None:
    result = result_of(Fading(), 0.05, 0.1)
    nothing, none = result.distance.new_zeros((0, COUNT)), torch.full_like(result.target, -1)
    piece = Piece(
        start=0,
        result=result,
        standing=nothing,
        passes=nothing.long(),
        predicted=none,
        smallest=torch.full_like(result.distance, torch.inf),
        seconds=0.0,
        done=True,
    )
    again = Piece.from_bytes(piece.to_bytes())
    assert torch.equal(again.result.rates, result.rates)
    other = Piece.from_bytes(_only_first(piece).to_bytes())
    both = joined([again, other]).result
    assert torch.equal(both.rates[:COUNT], result.rates)
    assert torch.equal(both.rates[COUNT:], result.rates[:, :1].expand(-1, 2)), "the last rate stays"
    data = Images(torch.full((COUNT, 4), 0.5), torch.zeros(COUNT).long())
    job = model_job("fading", Fading(), data, LINF, [Recipe(name="moves", attack=Moves())], run_dir=tmp_path)
    (row,), (resumed,) = evaluate(job).rows, evaluate(job).rows
    assert row.stages == resumed.stages
    assert row.stages[-1] == ("move 1", 0.0)


def _only_first(piece: Piece) -> Piece:
    from dataclasses import replace

    result = piece.result
    assert result.rates is not None
    first = replace(
        result, stages=result.stages[:1], rates=result.rates[:, :1].clone(), evaluations=result.evaluations[:, :1],
        stage=torch.zeros_like(result.stage),
    )  # fmt: skip
    return replace(piece, start=COUNT, result=first)


@pytest.mark.parametrize("shape", [(0.05,), (0.05, 0.1)])
def test_a_model_that_is_not_random_keeps_no_rates(shape: tuple[float, ...]) -> None:
    class Steady(Fading):
        stochastic = False

    result = result_of(Steady(near=1.0), *shape)
    assert (result.rates, result.tried) == (None, None)
    assert torch.equal(result.standing, result.correct & ~result.success)
    assert (result.stage == 0).all()
