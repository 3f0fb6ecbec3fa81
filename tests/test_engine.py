"""What the engine does for every attack: best points, early end, restarts, targets, queries, batches."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from descent import LINF, Counting, Descent, Point, linear_problem, linear_samples
from torch import Tensor, nn

from advplug.api import run
from advplug.attack import Attack
from advplug.engine.problem import Options, make_problem
from advplug.engine.stages import run_attack, run_cascade, run_sweep
from advplug.engine.task import Task
from advplug.errors import InvalidInput, NonFiniteLogits
from advplug.model import Decision, DefendedModel, PlainModel
from advplug.numerics.tensors import wrap
from advplug.testing.linear import linear_model
from advplug.threat import ThreatModel


def test_one_forward_and_one_backward_per_step() -> None:
    model, x, y = linear_samples()
    counting = Counting(model)
    wrapped = PlainModel(counting, 3)
    result = run(Descent(steps=7), wrapped, x, y, LINF, early_end=False)
    assert result.forwards.tolist() == [8] * 40, "seven steps, and the last point"
    assert result.backwards.tolist() == [7] * 40
    counted, counting.inputs = counting.inputs, 0
    make_problem(wrapped, x, y, LINF)  # what the model is, asked once
    memory, clean, verification = 1, 40, int(result.success.sum())
    assert counted == counting.inputs + memory + clean + int(result.forwards.sum()) + verification


def test_early_end_stops_each_sample_at_its_first_success() -> None:
    full = run_attack(Descent(), linear_problem(early_end=False))
    short = run_attack(Descent(), linear_problem())
    assert torch.equal(full.success, short.success)
    assert 0 < short.success.sum() < 40
    assert (short.forwards[short.success] < full.forwards[short.success]).all()
    assert torch.equal(short.forwards[~short.success], full.forwards[~short.success])
    first = (full.trace < 0).float().argmax(0) + 1
    assert torch.equal(short.forwards[short.success], first[short.success]), "charged up to its first success"


def test_compaction_saves_forward_passes() -> None:
    model, x, y = linear_samples(200)
    counted = []
    for early_end in (True, False):
        counting = Counting(model)
        run(Descent(steps=50), PlainModel(counting, 3), x, y, ThreatModel("linf", 0.3), early_end=early_end)
        counted.append(counting.inputs)
    assert counted[0] < counted[1] / 4


def test_the_best_iterate_counts_not_the_last() -> None:
    """A step that jumps away from a success must not lose it."""

    class Leaps(Attack):
        def run(self, task: Task) -> None:
            for shift in (0.0, 0.1, 0.0):
                task.evaluate(task.project(task.inputs + shift))

    model = PlainModel(_Threshold(), 2)
    x = torch.full((3, 4), 0.45)
    result = run(Leaps(), model, x, torch.zeros(3).long(), LINF, early_end=False)
    assert result.success.all()
    torch.testing.assert_close(result.adversarials, x + 0.1)


class _Threshold(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        z = x.mean(1, keepdim=True) - 0.5
        return torch.cat((-z, z), 1)


def test_minimum_norm_runs_keep_the_nearest_success() -> None:
    class Walk(Attack):
        minimum_norm = True

        def run(self, task: Task) -> None:
            for shift in (0.3, 0.1, 0.2):
                task.evaluate(task.project(task.inputs + shift))

    x = torch.full((2, 4), 0.45)
    result = run(Walk(), PlainModel(_Threshold(), 2), x, torch.zeros(2).long(), ThreatModel("l2"))
    torch.testing.assert_close(result.distance, torch.full((2,), 0.2).double())


def test_restarts_see_only_survivors_and_draw_new_starts() -> None:
    once = run_attack(Descent(steps=3, random=True), linear_problem(restarts=1))
    many = run_attack(Descent(steps=3, random=True), linear_problem(restarts=20))
    assert (many.success | ~once.success).all()
    assert torch.equal(many.forwards[once.success], once.forwards[once.success])
    assert torch.equal(many.adversarials[once.success], once.adversarials[once.success])
    assert many.success.sum() > once.success.sum(), "another start breaks more"
    assert (many.restart[many.success & ~once.success] > 0).all()
    assert (many.restart[~many.success] == -1).all()


def test_a_cascade_gives_the_next_attack_only_the_survivors() -> None:
    weak, strong = run_cascade([(Descent(steps=2), linear_problem()), (Descent(steps=30), linear_problem())])
    assert (strong.success | ~weak.success).all()
    assert strong.success.sum() > weak.success.sum()
    assert (strong.forwards[weak.success] == 0).all()
    alone = run_attack(Descent(steps=30), linear_problem())
    assert torch.equal(strong.success, alone.success)


def test_a_sweep_carries_what_is_broken_upward() -> None:
    epsilons = [0.02, 0.05, 0.1, 0.2]
    results = run_sweep(Descent(), linear_problem(), epsilons)
    accuracies = [result.robust_accuracy for result in results]
    assert accuracies == sorted(accuracies, reverse=True)
    for epsilon, result in zip(epsilons, results, strict=True):
        assert (result.distance[result.success] <= epsilon * (1 + 1e-6)).all()
        threat = ThreatModel("linf", epsilon)
        assert torch.equal(result.success, run_attack(Descent(), linear_problem(threat)).success)
    with pytest.raises(InvalidInput, match="ascending"):
        run_sweep(Descent(), linear_problem(), [0.2, 0.1])


def test_batches_follow_the_memory_budget() -> None:
    model, x, y = linear_samples()
    counting = Counting(model)
    whole = run(Descent(random=True), PlainModel(counting, 3), x, y, LINF)
    assert counting.largest == 40
    counting.largest = 0
    row = 3 * 8 * (10 + 3 * 4 + 10)  # overhead times the bytes of the input and of each layer's output, at most
    split = run(Descent(random=True), PlainModel(counting, 3), x, y, LINF, memory_budget=5 * row)
    assert counting.largest < 40
    assert torch.equal(split.adversarials, whole.adversarials)
    assert torch.equal(split.forwards, whole.forwards)


def test_running_out_of_memory_halves_the_batch_and_changes_nothing() -> None:
    model, x, y = linear_samples()

    class Small(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if torch.is_grad_enabled() and len(x) > 12:
                raise torch.cuda.OutOfMemoryError
            return model(x)  # type: ignore[no-any-return]

    cramped = run(Descent(random=True), PlainModel(Small(), 3), x, y, LINF)
    free = run(Descent(random=True), model, x, y, LINF)
    assert torch.equal(cramped.adversarials, free.adversarials)


def test_samples_wrong_before_the_attack_are_reported_apart() -> None:
    model, x, y = linear_samples()
    y = y.clone()
    y[:5] = (y[:5] + 1) % 3
    result = run(Descent(), model, x, y, LINF)
    assert result.correct.tolist() == [False] * 5 + [True] * 35
    assert not result.success[:5].any()
    assert torch.equal(result.adversarials[:5], x[:5])
    assert (result.forwards[:5] == 0).all()
    assert result.clean_accuracy == 35 / 40
    assert result.robust_accuracy == (35 - int(result.success.sum())) / 40


def test_budgets_may_differ_between_samples() -> None:
    epsilon = torch.linspace(0.0, 0.3, 40).double()
    result = run_attack(Descent(steps=40), linear_problem(epsilon=epsilon))
    assert (result.distance[result.success] <= epsilon[result.success] * (1 + 1e-6)).all()
    assert not result.success[0], "a budget of zero allows nothing"
    for row in (10, 25, 39):
        alone = run_attack(Descent(steps=40), linear_problem(ThreatModel("linf", float(epsilon[row]))))
        assert alone.success[row] == result.success[row]


class _Detector(DefendedModel):
    """Rejects inputs whose first value is above 0.5."""

    def forward(self, x: Tensor) -> Tensor:
        return _Threshold()(x)  # type: ignore[no-any-return]

    def decide(self, x: Tensor) -> Decision:
        return Decision(self(x).argmax(1), x[:, 0] <= 0.5)


def test_a_detector_must_be_evaded_too() -> None:
    class Push(Attack):
        def __init__(self, shift: list[float]) -> None:
            self.shift = shift

        def run(self, task: Task) -> None:
            task.evaluate(task.project(task.inputs + wrap(torch.tensor(self.shift))))

    x, y = torch.full((2, 4), 0.45), torch.zeros(2).long()
    seen = run(Push([0.1, 0.1, 0.1, 0.1]), _Detector(2), x, y, LINF)
    assert not seen.success.any()
    assert seen.detected.all(), "misclassified, but rejected"
    unseen = run(Push([0.0, 0.1, 0.1, 0.1]), _Detector(2), x, y, LINF)
    assert unseen.success.all()
    assert not unseen.detected.any()


class _Coin(DefendedModel):
    """Right with probability ``p`` on each draw."""

    stochastic = True

    def __init__(self, p: float) -> None:
        super().__init__(2)
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        good = (torch.rand(len(x), 1) < self.p).double()
        return torch.cat((good, 1 - good), 1) + 0 * x.sum(1, keepdim=True)


def test_one_lucky_draw_of_a_stochastic_model_is_no_success() -> None:
    x, y = torch.rand(200, 4), torch.zeros(200).long()
    result = run(Descent(steps=30), _Coin(0.9), x, y, LINF, draws=25)
    assert (result.clean_error_rate - 0.1).abs().mean() < 0.1
    assert result.success.float().mean() < 0.02, "thirty draws would nearly all find one flip"
    assert (result.backwards == 30).all(), "nobody leaves early"
    assert abs(result.robust_accuracy - 0.9) < 0.05


@pytest.mark.parametrize(("p", "runs"), [(0.0, 1), (0.4, 3)])
def test_another_restart_is_for_what_some_draw_withstands(p: float, runs: int) -> None:
    """A point that breaks a stochastic model in every draw cannot be bettered; one that breaks it in most can."""

    class Fading(_Coin):
        """Right on the inputs, whose values are a half, and a coin away from them."""

        def forward(self, x: Tensor) -> Tensor:
            sure = torch.tensor([[1.0, 0.0]], dtype=torch.float64).expand(len(x), 2) + 0 * x.sum(1, keepdim=True)
            return torch.where((x - 0.5).abs().amax(1, keepdim=True) > 0, super().forward(x), sure)

    x, y = torch.full((20, 4), 0.5), torch.zeros(20).long()
    result = run(Descent(steps=5, random=True), Fading(p), x, y, LINF, restarts=3, draws=50)
    assert (result.backwards == 5 * runs).all()


def test_nan_logits_are_an_error_and_never_a_success() -> None:
    class Breaks(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            z: Tensor = _Threshold()(x)
            return z.masked_fill(x.mean(1, keepdim=True) > 0.47, torch.nan)

    x, y = torch.full((3, 4), 0.45), torch.zeros(3).long()
    with pytest.raises(NonFiniteLogits, match="NaN"):
        run(Descent(), PlainModel(Breaks(), 2), x, y, LINF)
    with pytest.raises(NonFiniteLogits, match="NaN"):
        run(Descent(), PlainModel(Breaks(), 2), x + 0.1, y, LINF)


def test_progress_counts_up_to_the_plan() -> None:
    calls: list[tuple[int, int, int]] = []
    run_attack(Descent(steps=5), linear_problem(restarts=2, early_end=False, progress=lambda *call: calls.append(call)))
    assert [done for done, _, _ in calls] == list(range(1, 11))
    assert {total for _, total, _ in calls} == {10}


def test_starting_points_can_be_given() -> None:
    problem = linear_problem()
    moved = replace(problem, starting_points=(problem.inputs + 0.05).clamp(0, 1))
    first = run_attack(Descent(steps=1), replace(moved, options=Options(early_end=False))).trace[0]
    logits = problem.model(moved.starting_points)
    expected = logits.gather(1, problem.labels[:, None]).squeeze(1)
    other = logits.scatter(1, problem.labels[:, None], -torch.inf).amax(1)
    torch.testing.assert_close(first, (expected - other).float())


def test_steps_without_a_usable_gradient_are_counted() -> None:
    class Flat(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return _Threshold()(x.round()) * x[:, :1].sign()  # type: ignore[no-any-return]

    x, y = torch.full((3, 4), 0.45), torch.zeros(3).long()
    assert run(Descent(steps=6), PlainModel(Flat(), 2), x, y, LINF).unusable_gradients.tolist() == [6] * 3
    assert run(Descent(steps=6), PlainModel(_Threshold(), 2), x, y, LINF).unusable_gradients.tolist() == [0] * 3


class Overshooting(Descent):
    """Looks far outside the budget first, where everything is misclassified, and only then within it."""

    def step(self, task: Task, state: Point) -> Point:
        task.evaluate(task.inputs - task.gradient(task.inputs).sign())
        return super().step(task, state)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_a_point_outside_the_budget_does_not_hide_one_inside(norm: Any) -> None:
    model = linear_model(3, (10,))
    x = torch.rand(20, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 0.6 + 0.2
    y = model(x).argmax(1)
    threat = ThreatModel(norm, {"linf": 0.1, "l2": 0.3, "l1": 1.0}[norm], (-9.0, 9.0))
    honest = run(Descent(), model, x, y, threat)
    assert 0 < honest.success.sum() < 20
    assert torch.equal(run(Overshooting(), model, x, y, threat).success, honest.success)
