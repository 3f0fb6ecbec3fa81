"""What the engine does for every attack: best points, early end, restarts, targets, queries, batches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import eagerpy as ep
import pytest
import torch
from torch import Tensor, nn

from advplug.api import run
from advplug.attack import Attack, IterativeAttack
from advplug.engine.problem import Options, Problem, make_problem
from advplug.engine.stages import run_attack, run_cascade, run_sweep
from advplug.engine.task import Task
from advplug.errors import InvalidInput, NonFiniteLogits
from advplug.losses import Margin
from advplug.model import Decision, DefendedModel, PlainModel
from advplug.numerics.tensors import raw, wrap
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


def _samples(n: int = 40, seed: int = 0, classes: int = 3) -> tuple[nn.Module, Tensor, Tensor]:
    model = linear_model(classes, (10,), seed=3)
    x = torch.rand(n, 10, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return model, x, model(x).argmax(1)


def _problem(threat: ThreatModel = LINF, model: nn.Module | None = None, n: int = 40, **words: Any) -> Problem:
    plain, x, y = _samples(n)
    options = {name: words.pop(name) for name in list(words) if name in Options.__dataclass_fields__}
    return make_problem(model or plain, x, y, threat, loss=Margin(), options=Options(**options), **words)


def test_one_forward_and_one_backward_per_step() -> None:
    model, x, y = _samples()
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
    full = run_attack(Descent(), _problem(early_end=False))
    short = run_attack(Descent(), _problem())
    assert torch.equal(full.success, short.success)
    assert 0 < short.success.sum() < 40
    assert (short.forwards[short.success] < full.forwards[short.success]).all()
    assert torch.equal(short.forwards[~short.success], full.forwards[~short.success])
    first = (full.trace < 0).float().argmax(0) + 1
    assert torch.equal(short.forwards[short.success], first[short.success]), "charged up to its first success"


def test_compaction_saves_forward_passes() -> None:
    model, x, y = _samples(200)
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
    once = run_attack(Descent(steps=3, random=True), _problem(restarts=1))
    many = run_attack(Descent(steps=3, random=True), _problem(restarts=20))
    assert (many.success | ~once.success).all()
    assert torch.equal(many.forwards[once.success], once.forwards[once.success])
    assert torch.equal(many.adversarials[once.success], once.adversarials[once.success])
    assert many.success.sum() > once.success.sum(), "another start breaks more"
    assert (many.restart[many.success & ~once.success] > 0).all()
    assert (many.restart[~many.success] == -1).all()


def test_targets_each_tries_every_other_class_likeliest_first() -> None:
    class Spy(Attack):
        def __init__(self) -> None:
            self.seen: list[tuple[Tensor, Tensor]] = []

        def run(self, task: Task) -> None:
            assert task.targets is not None
            self.seen.append((raw(task.samples), task.targets.raw))

    spy = Spy()
    problem = _problem(targets="each")
    run_attack(spy, problem)
    order = torch.stack([targets for _, targets in spy.seen], 1)
    logits = problem.model(problem.inputs)
    ranked = logits.scatter(1, problem.labels[:, None], -torch.inf).argsort(dim=1, descending=True)
    assert torch.equal(order, ranked[:, :-1])


def test_a_number_of_targets_is_so_many_of_the_likeliest() -> None:
    two, each = run_attack(Descent(), _problem(num_targets=2)), run_attack(Descent(), _problem(targets="each"))
    assert torch.equal(two.success, each.success), "of three classes two are others"
    one = run_attack(Descent(), _problem(num_targets=1))
    logits = _samples()[0](_samples()[1])
    likeliest = logits.scatter(1, _samples()[2][:, None], -torch.inf).argmax(1)
    assert torch.equal(one.target[one.success], likeliest[one.success])
    with pytest.raises(InvalidInput, match="num_targets is 0"):
        _problem(num_targets=0)


def _many_classes(**words: Any) -> tuple[Problem, Counting]:
    model, x, y = _samples(30, classes=8)
    counting = Counting(model)
    options = Options(**{name: words.pop(name) for name in list(words) if name in Options.__dataclass_fields__})
    wrapped = PlainModel(counting, 8)
    return make_problem(wrapped, x, y, LINF, loss=Margin(), targets="each", options=options, **words), counting


def test_targets_at_once_break_the_same_samples() -> None:
    in_turn = run_attack(Descent(), _many_classes()[0])
    at_once = run_attack(Descent(), _many_classes(targets_at_once=7)[0])
    assert torch.equal(at_once.success, in_turn.success)
    assert 0 < at_once.success.sum() < 30
    survivors = ~at_once.success
    assert torch.equal(at_once.forwards[survivors], in_turn.forwards[survivors]), "nothing is saved where all is tried"
    assert (at_once.forwards[survivors] == 7 * 21).all(), "seven targets of twenty steps and a last look"
    assert (at_once.target[at_once.success] >= 0).all()
    torch.testing.assert_close(at_once.trace[:, survivors], in_turn.trace.view(7, 21, -1).amin(0)[:, survivors])


def test_a_sample_leaves_with_all_its_targets() -> None:
    """Seven rows until the first of them succeeds, and none after."""
    alone = [run_attack(Descent(), replace(_many_classes()[0], targets=targets)) for targets in _each_target()]
    first = torch.stack([torch.where(r.success, r.forwards, 1 << 30) for r in alone]).amin(0)
    result = run_attack(Descent(), _many_classes(targets_at_once=7)[0])
    assert torch.equal(result.forwards[result.success], 7 * first[result.success])


def _each_target() -> list[Tensor]:
    problem, _ = _many_classes()
    logits = problem.model(problem.inputs).scatter(1, problem.labels[:, None], -torch.inf)
    return list(logits.argsort(dim=1, descending=True)[:, :-1].unbind(1))


@pytest.mark.parametrize("batch_size", [1, 4])
def test_targets_at_once_do_not_depend_on_the_batch(batch_size: int) -> None:
    together = run_attack(Descent(random=True), _many_classes(targets_at_once=7)[0])
    apart = run_attack(Descent(random=True), _many_classes(targets_at_once=7, batch_size=batch_size)[0])
    for name in ("success", "adversarials", "target", "forwards", "backwards", "unusable_gradients"):
        assert torch.equal(getattr(apart, name), getattr(together, name)), name


def test_targets_at_once_keep_to_the_memory_budget() -> None:
    whole, _ = _many_classes(targets_at_once=7)
    tight, counting = _many_classes(targets_at_once=7, memory_budget=3 * 18 * 8 * 5)  # five inputs fit
    result = run_attack(Descent(), tight)
    assert counting.largest <= 5
    assert torch.equal(result.success, run_attack(Descent(), whole).success)


def test_targets_at_once_keep_the_nearest_point_of_a_minimum_norm_run() -> None:
    class Nearing(Descent):
        minimum_norm = True

    problem, _ = _many_classes(targets_at_once=3)
    problem = replace(problem, threat=ThreatModel("linf"), epsilon=None)
    at_once = run_attack(Nearing(), problem)
    in_turn = run_attack(Nearing(), replace(problem, options=Options()))
    assert at_once.success.any()
    torch.testing.assert_close(at_once.distance, in_turn.distance, equal_nan=True)


def test_given_targets_are_reached_when_the_threat_is_targeted() -> None:
    threat = ThreatModel("linf", 0.5, targeted=True)
    plain, _, y = _samples()
    targets = (y + 1) % 3
    result = run_attack(Descent(steps=60), _problem(threat, targets=targets))
    assert result.success.sum() > 20
    reached = plain(result.adversarials).argmax(1)
    assert torch.equal(reached[result.success], targets[result.success])
    assert torch.equal(result.target[result.success], targets[result.success])


def test_a_cascade_gives_the_next_attack_only_the_survivors() -> None:
    weak, strong = run_cascade([(Descent(steps=2), _problem()), (Descent(steps=30), _problem())])
    assert (strong.success | ~weak.success).all()
    assert strong.success.sum() > weak.success.sum()
    assert (strong.forwards[weak.success] == 0).all()
    alone = run_attack(Descent(steps=30), _problem())
    assert torch.equal(strong.success, alone.success)


def test_a_sweep_carries_what_is_broken_upward() -> None:
    epsilons = [0.02, 0.05, 0.1, 0.2]
    results = run_sweep(Descent(), _problem(), epsilons)
    accuracies = [result.robust_accuracy for result in results]
    assert accuracies == sorted(accuracies, reverse=True)
    for epsilon, result in zip(epsilons, results, strict=True):
        assert (result.distance[result.success] <= epsilon * (1 + 1e-6)).all()
        threat = ThreatModel("linf", epsilon)
        assert torch.equal(result.success, run_attack(Descent(), _problem(threat)).success)
    with pytest.raises(InvalidInput, match="ascending"):
        run_sweep(Descent(), _problem(), [0.2, 0.1])


def test_batches_follow_the_memory_budget() -> None:
    model, x, y = _samples()
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
    model, x, y = _samples()

    class Small(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if torch.is_grad_enabled() and len(x) > 12:
                raise torch.cuda.OutOfMemoryError
            return model(x)  # type: ignore[no-any-return]

    cramped = run(Descent(random=True), PlainModel(Small(), 3), x, y, LINF)
    free = run(Descent(random=True), model, x, y, LINF)
    assert torch.equal(cramped.adversarials, free.adversarials)


def test_samples_wrong_before_the_attack_are_reported_apart() -> None:
    model, x, y = _samples()
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
    result = run_attack(Descent(steps=40), _problem(epsilon=epsilon))
    assert (result.distance[result.success] <= epsilon[result.success] * (1 + 1e-6)).all()
    assert not result.success[0], "a budget of zero allows nothing"
    for row in (10, 25, 39):
        alone = run_attack(Descent(steps=40), _problem(ThreatModel("linf", float(epsilon[row]))))
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
    run_attack(Descent(steps=5), _problem(restarts=2, early_end=False, progress=lambda *call: calls.append(call)))
    assert [done for done, _, _ in calls] == list(range(1, 11))
    assert {total for _, total, _ in calls} == {10}


def test_starting_points_can_be_given() -> None:
    problem = _problem()
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
