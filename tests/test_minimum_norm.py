"""What the engine does for minimum-norm attacks: rounds, conditions, costs, constants, losses of several values."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import eagerpy as ep
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from advplug.api import run
from advplug.attack import Attack, IterativeAttack
from advplug.criteria import Confident, Criterion
from advplug.engine.problem import Options, make_problem
from advplug.engine.stages import run_attack
from advplug.engine.task import Query, Task
from advplug.errors import InvalidInput
from advplug.families.constant_search import Constants, ConstantSearchAttack
from advplug.gradients import EOT, Exact, FiniteDifference, GradientEstimator, Smoothed
from advplug.losses import ClassGaps, LogisticMargin, Loss, Margin, TargetedDLR, View
from advplug.model import PlainModel
from advplug.numerics.adam import Adam
from advplug.numerics.tensors import raw, wrap
from advplug.testing.linear import distance_over_optimum, largest_change, least_distance, linear_model
from advplug.threat import ThreatModel

L2 = ThreatModel("l2")


class Threshold(nn.Module):
    """Class 1 where the mean of the input exceeds one half; the margin is twice the excess."""

    def forward(self, x: Tensor) -> Tensor:
        z = x.mean(1, keepdim=True) - 0.5
        return torch.cat((-z, z), 1)


MODEL = PlainModel(Threshold(), 2)
X, Y = torch.full((3, 4), 0.45), torch.zeros(3).long()


class Shifts(Attack):
    """Evaluates the inputs moved by each of ``shifts``; remembers the best costs that it could read."""

    minimum_norm = True

    def __init__(self, *shifts: float, condition: Criterion | None = None) -> None:
        self.shifts, self.condition, self.seen = shifts, condition, []  # type: ignore[var-annotated]

    def run(self, task: Task) -> None:
        self.seen.append(task.best_cost.raw.tolist())
        for shift in self.shifts:
            task.evaluate(task.clip(task.inputs + shift), self.condition)


def test_an_adversarial_starting_point_counts_wherever_the_attack_begins() -> None:
    given = X.clone()
    given[0] += 0.3  # beyond the threshold
    result = run(Shifts(), MODEL, X, Y, L2, starting_points=given)
    assert result.success.tolist() == [True, False, False]
    torch.testing.assert_close(result.adversarials[0], given[0])
    nearer = run(Shifts(0.1), MODEL, X, Y, L2, starting_points=given)
    torch.testing.assert_close(nearer.distance, torch.full((3,), 0.2).double())


def test_rounds_build_on_the_best_point_of_earlier_ones() -> None:
    attack = Shifts(0.3, 0.1)
    result = run(attack, MODEL, X, Y, L2, restarts=3)
    assert attack.seen[0] == [float("inf")] * 3
    assert attack.seen[1] == attack.seen[2] == pytest.approx([0.2] * 3)
    torch.testing.assert_close(result.distance, torch.full((3,), 0.2).double())
    assert result.restart.tolist() == [0] * 3, "later rounds found nothing nearer"


def test_a_point_that_misses_the_condition_does_not_count() -> None:
    confident = Confident(0.3)
    result = run(Shifts(0.1, 0.25, 0.4, condition=confident), MODEL, X, Y, L2)
    torch.testing.assert_close(result.adversarials, X + 0.25)
    assert not run(Shifts(0.1, condition=confident), MODEL, X, Y, L2).success.any()


def test_an_attack_may_make_something_else_small_than_the_norm() -> None:
    class Farthest(Shifts):
        def cost(self, delta: Tensor, norm: str) -> Tensor:
            return -delta.abs().flatten(1).amax(1).double()

    for restarts in (1, 2):
        result = run(Farthest(0.1, 0.3, 0.2), MODEL, X, Y, L2, restarts=restarts)
        torch.testing.assert_close(result.adversarials, X + 0.3)
        torch.testing.assert_close(result.distance, torch.full((3,), 0.6).double())


class Walk(IterativeAttack["Place"]):
    """Steps of 0.01 along the diagonal until the answer changes, then nothing more."""

    norms: ClassVar[tuple[str, ...]] = ("l2",)
    minimum_norm = True

    def __init__(self, *, steps: int = 50) -> None:
        self.steps = steps

    def init(self, task: Task) -> Place:
        return Place(task.inputs)

    def step(self, task: Task, state: Place) -> Place:
        task.finish(task.evaluate(state.x).success)
        return Place(task.clip(state.x + 0.01))


class Place(NamedTuple):
    x: ep.Tensor


def test_samples_that_the_attack_is_done_with_leave_the_batch() -> None:
    x = torch.tensor([0.45, 0.3, 0.05])[:, None].expand(3, 4).contiguous()
    result = run(Walk(), MODEL, x, Y, L2)
    assert result.success.tolist() == [True, True, True]
    assert result.forwards.tolist() == [7, 22, 47]
    assert result.trace[:, 0].isfinite().sum() == 7
    assert result.distance.tolist() == pytest.approx([0.12, 0.42, 0.92], abs=1e-3)


def test_with_a_budget_a_minimum_norm_attack_may_search_outside_but_only_what_is_inside_counts() -> None:
    result = run(Shifts(0.3, 0.1, 0.06), MODEL, X, Y, ThreatModel("linf", 0.15))
    torch.testing.assert_close(result.adversarials, X + 0.1)
    assert not run(Shifts(0.3), MODEL, X, Y, ThreatModel("linf", 0.15)).success.any()


def test_one_run_answers_every_budget() -> None:
    x = torch.tensor([0.45, 0.3, 0.05, 0.6])[:, None].expand(4, 4).contiguous()
    result = run(Walk(), MODEL, x, torch.zeros(4).long(), L2)
    assert [result.robust_accuracy_at(epsilon) for epsilon in (0.0, 0.2, 0.5, 2.0)] == [0.75, 0.5, 0.25, 0.0]


def test_the_loss_is_the_attacks_own_unless_one_is_named() -> None:
    class Own(Shifts):
        @property
        def default_loss(self) -> Loss:
            return LogisticMargin()

    margin = run(Shifts(0.0), MODEL, X, Y, L2, loss=Margin()).trace[0]
    torch.testing.assert_close(run(Own(0.0), MODEL, X, Y, L2).trace[0], nn.functional.softplus(margin))
    torch.testing.assert_close(run(Own(0.0), MODEL, X, Y, L2, loss=Margin()).trace[0], margin)


def test_an_own_loss_that_cannot_work_here_is_refused_before_any_compute() -> None:
    class Own(Shifts):
        @property
        def default_loss(self) -> Loss:
            return TargetedDLR()

    with pytest.raises(InvalidInput, match="TargetedDLR needs targets"):
        run(Own(0.0), MODEL, X, Y, L2)


def test_the_nearest_point_survives_the_rounding_of_another_batch_size() -> None:
    """A model whose answers move by a rounding error with the size of the batch, as matrix products do."""

    class Rounds(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            z = x.mean(1, keepdim=True) - 0.5 - (1e-6 if len(x) < 3 else 0.0)
            return torch.cat((-z, z), 1)

    class Some(Attack):
        minimum_norm = True

        def run(self, task: Task) -> None:
            moved = raw(task.inputs) + torch.tensor([0.0500005, 0.0500005, 0.01])[:, None]
            task.evaluate(wrap(moved))

    result = run(Some(), PlainModel(Rounds(), 2), X, Y, L2)
    assert result.success.tolist() == [True, True, False], "two of three are verified, in a batch of two"
    assert (result.distance[:2] - 0.1).abs().max() < 1e-3


# --- losses of several values ---


@pytest.mark.parametrize(
    "estimator", [Exact(), EOT(3), Smoothed(1e-3, 50), EOT(2, of=Smoothed(1e-3, 30)), FiniteDifference(1e-4, 6000)]
)
def test_every_value_of_a_loss_gets_its_gradient(estimator: GradientEstimator) -> None:
    model = linear_model(4, (6,), dtype=torch.float64)
    x = torch.rand(5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y = model(x).argmax(1)
    seen: dict[str, Query] = {}

    class Look(Attack):
        def run(self, task: Task) -> None:
            seen["query"] = task.query(task.inputs)

    threat = ThreatModel("l2", 1.0)
    result = run(Look(), model, x, y, threat, loss=ClassGaps(), gradient=estimator)
    query = seen["query"]
    assert query.gradient is not None
    assert query.loss.shape == (5, 3)
    assert query.gradient.shape == (5, 3, 6)
    weight = model[1].weight.detach()  # type: ignore[index]
    order = model(x).argsort(dim=1, descending=True)[:, 1:]
    expected = weight[y][:, None] - weight[order]
    cosine = torch.cosine_similarity(query.gradient.raw.double(), expected, dim=2)
    assert (cosine > 0.98).all()
    torch.testing.assert_close(result.trace[0].double(), query.loss.raw.amin(1), rtol=1e-5, atol=1e-6)
    if isinstance(estimator, Exact):
        assert result.forwards.tolist() == [1] * 5
        assert result.backwards.tolist() == [3] * 5


def _view(logits: Tensor, labels: Tensor, targets: Tensor | None = None) -> View:
    rows = wrap(torch.arange(len(logits)))
    return View(MODEL, wrap(logits), wrap(logits), wrap(labels), None if targets is None else wrap(targets), rows, {})


@given(seed=st.integers(0, 10**6), classes=st.integers(2, 12), count=st.integers(1, 12))
def test_the_least_gap_is_the_margin(seed: int, classes: int, count: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(4, classes, generator=generator)
    labels = torch.randint(classes, (4,), generator=generator)
    gaps = ClassGaps(count)(_view(logits, labels)).raw
    assert gaps.shape == (4, min(count, classes - 1))
    torch.testing.assert_close(gaps.amin(1), Margin()(_view(logits, labels)).raw)
    assert (gaps.diff(dim=1) >= 0).all(), "likeliest class first"
    targeted = _view(logits, labels, (labels + 1) % classes)
    torch.testing.assert_close(ClassGaps(count)(targeted).raw[:, 0], Margin()(targeted).raw)


# --- constants ---


class Reach(ConstantSearchAttack[Place]):
    """Goes as far as the constant; remembers the constants that it was given."""

    def __init__(self, *, search_steps: int = 20, steps: int = 3, initial_c: float = 1e-3) -> None:
        self.search_steps, self.steps, self.initial_c = search_steps, steps, initial_c
        self.constants: list[list[float]] = []

    def start(self, task: Task) -> Place:
        return Place(task.inputs)

    def descend(self, task: Task, inner: Place, c: ep.Tensor, step: ep.Tensor) -> tuple[Place, ep.Tensor]:
        self.constants.append(c.raw.tolist())
        x = task.inputs + c.expand_dims(1)  # the mean passes one half at c = 0.05
        return Place(task.clip(x)), task.evaluate(task.clip(x)).success


def test_the_weight_of_each_sample_closes_in_on_the_smallest_that_succeeds() -> None:
    x = torch.tensor([0.45, 0.3, 0.4999])[:, None].expand(3, 4).contiguous()
    attack = Reach()
    result = run(attack, MODEL, x, Y, L2)
    assert len(attack.constants) == 60
    assert attack.constants[0] == attack.constants[2] == pytest.approx([1e-3] * 3), "one constant for a whole descent"
    assert result.distance.tolist() == pytest.approx([0.1, 0.4, 0.0002], rel=0.01)


@settings(max_examples=50)
@given(needed=st.floats(1e-6, 1e6), start=st.floats(1e-4, 1e2))
def test_bisection_keeps_the_threshold_inside_its_interval(needed: float, start: float) -> None:
    constants = Constants.starting_at(start, wrap(torch.zeros(1, 2, dtype=torch.float64)))
    for _ in range(60):
        success = constants.c >= needed
        constants = constants.tried(success).tried(constants.c < 0).next()
        assert float(constants.lower.raw) <= needed <= float(constants.upper.raw)
    assert float(constants.upper.raw) == pytest.approx(needed, rel=1e-6)


def test_adam_is_torchs() -> None:
    point = torch.tensor([[3.0, -2.0], [0.5, 4.0]], requires_grad=True)
    optimiser = torch.optim.Adam([point], lr=0.1)
    x, state = wrap(point.detach().clone()), Adam.like(wrap(point.detach()))
    for step in range(1, 30):
        optimiser.zero_grad()
        (point**2 * torch.tensor([1.0, 10.0])).sum().backward()
        optimiser.step()
        state = state.seen(2 * x * wrap(torch.tensor([1.0, 10.0])))
        m, root = state.scaled(step)
        x = x - 0.1 * m / root
    torch.testing.assert_close(x.raw, point.detach())


# --- the closed form that all attacks are held to ---


@pytest.mark.parametrize("norm", ["linf", "l2", "l1", "l0"])
@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 3.0)])
def test_the_least_distance_is_where_the_change_is_just_enough(norm: str, bounds: tuple[float, float]) -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(6, 9, generator=generator, dtype=torch.float64)
    x = bounds[0] + (bounds[1] - bounds[0]) * torch.rand(6, 9, generator=generator, dtype=torch.float64)
    margin = torch.linspace(0.1, 2.0, 6, dtype=torch.float64)
    margin[-1] = 1e6
    least = least_distance(weight, margin, x, norm, bounds)
    assert least[-1] == torch.inf, "no perturbation within the bounds is enough"
    least, weight, x, margin = least[:-1], weight[:-1], x[:-1], margin[:-1]
    assert (largest_change(weight, x, norm, least, bounds) >= margin - 1e-9).all()
    less = least - 1 if norm == "l0" else least * 0.999
    assert (largest_change(weight, x, norm, less, bounds) < margin).all()


def test_an_attack_that_goes_too_far_is_seen_to() -> None:
    class Straight(Attack):
        """A line search along the gradient of the margin, blind to the box: 20 % too far, and not always successful."""

        minimum_norm = True

        def run(self, task: Task) -> None:
            query = task.query(task.inputs)
            assert query.gradient is not None
            g = query.gradient
            length = query.loss / g.flatten(1).square().sum(1)
            task.evaluate(task.clip(task.inputs - 1.2 * length.reshape((-1, 1, 1, 1)) * g))

        @property
        def default_loss(self) -> Loss:
            return Margin()

    ratio = distance_over_optimum(Straight(), "l2")
    assert (ratio > 1.05).any()
    assert (ratio >= 1 - 1e-6).all()


def test_a_problem_without_a_loss_takes_the_attacks() -> None:
    problem = make_problem(MODEL, X, Y, L2, options=Options())
    assert problem.loss is None
    assert run_attack(Shifts(0.1), problem).success.all()
