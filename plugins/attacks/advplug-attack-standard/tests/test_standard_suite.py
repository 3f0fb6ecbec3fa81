"""What the suite runs, on whom, and what it leaves beside AutoAttack as torchattacks packages it."""

from __future__ import annotations

import warnings
from dataclasses import replace
from importlib.util import find_spec

import pytest
import torch
from advplug_attack_standard import Standard
from torch import Tensor, nn

from advplug import ThreatModel, run
from advplug.engine.problem import make_problem
from advplug.engine.stages import run_cascade
from advplug.errors import InvalidInput
from advplug.losses import Margin
from advplug.testing.digits import shipped_digits
from advplug.testing.linear import largest_change, linear_model
from advplug.threat import Norm

QUICK = Standard(steps=10, queries=50)
LEFT_BY_AUTOATTACK = {"mnist": 18, "mnist-linf": 42}
"""Of the first 50 shipped digits, torchattacks 3.5.1 at its own ten steps, for where it is not installed."""


def case(
    classes: int = 5, count: int = 20, bounds: tuple[float, float] = (0.0, 1.0)
) -> tuple[nn.Module, Tensor, Tensor]:
    model = linear_model(classes, (1, 4, 4)).float()
    x = torch.rand(count, 1, 4, 4, generator=torch.Generator().manual_seed(3))
    x = bounds[0] + (bounds[1] - bounds[0]) * x
    with torch.no_grad():
        return model, x, model(x).argmax(1)


@pytest.mark.parametrize(("preset", "epsilon"), [("mnist", 0.1), ("mnist-linf", 0.3)])
def test_leaves_no_more_than_autoattack(preset: str, epsilon: float) -> None:
    net, x, y = shipped_digits(preset, 50, "adversarial-training")
    theirs = LEFT_BY_AUTOATTACK[preset]
    if find_spec("torchattacks"):
        import torchattacks

        peer = torchattacks.AutoAttack(net, norm="Linf", eps=epsilon, seed=0)
        theirs = int((net(peer(x, y)).argmax(1) == y).sum())
    result = run(Standard(steps=10), net, x, y, ThreatModel("linf", epsilon))
    assert int((~result.success).sum()) <= theirs


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_a_linear_model_loses_what_it_can_lose_and_nothing_more(norm: Norm) -> None:
    model, x, y = case(classes=2, count=40)
    epsilon = {"linf": 0.05, "l2": 0.15, "l1": 0.5}[norm]
    weight = next(model.parameters()).detach().double()
    push, flat = weight[y] - weight[1 - y], x.flatten(1).double()
    margin = (push * flat).sum(1)
    reach = largest_change(push, flat, norm, epsilon, (0.0, 1.0))
    result = run(QUICK, model, x, y, ThreatModel(norm, epsilon))
    clear = ((reach / margin) - 1).abs() > 0.02  # on neither side by a hair
    assert torch.equal(result.success[clear], (reach > margin)[clear])
    assert 0 < result.success.sum() < 40


def test_every_stage_sees_only_what_the_ones_before_left() -> None:
    model, x, y = case()
    result = run(QUICK, model, x, y, ThreatModel("linf", 0.05))
    assert result.stages == ("apgd-ce", "apgd-t", "fab-t", "square")
    left = [share for _, share in result.accuracy_after_stages()]
    assert left == sorted(left, reverse=True)
    assert left[-1] == result.robust_accuracy
    assert (result.stage[result.success] >= 0).all()
    assert (result.stage[~result.success] == -1).all()
    fell_first = result.stage == 0
    assert fell_first.any()
    assert (result.forwards[fell_first] <= 11).all(), "charged for stages that they never saw"
    assert (result.forwards[~result.success] > 50).all()


def test_there_is_no_square_under_l1() -> None:
    model, x, y = case()
    assert run(QUICK, model, x, y, ThreatModel("l1", 0.3)).stages == ("apgd-ce", "apgd-t", "fab-t")


@pytest.mark.parametrize("classes", [2, 3, 4, 12])
def test_the_number_of_classes_is_that_of_the_model(classes: int) -> None:
    model, x, y = case(classes)
    stages = QUICK.stages(make_problem(model, x, y, ThreatModel("linf", 0.05)))
    assert [stage.problem.target_classes for stage in stages] == [1, min(9, classes - 1), min(9, classes - 1), 1]
    assert run(QUICK, model, x, y, ThreatModel("linf", 1.0)).success.float().mean() > 0.9


def test_the_bounds_are_those_of_the_threat_model() -> None:
    model, x, y = case(bounds=(-1.0, 3.0))
    result = run(QUICK, model, x, y, ThreatModel("linf", 0.4, (-1.0, 3.0)))
    assert result.success.any()
    assert isinstance(result.adversarials, Tensor)
    assert result.adversarials.min() < -0.5
    assert result.adversarials.max() > 1.5, "cut to [0, 1], as AutoAttack does"


def test_budgets_and_targets_of_each_sample() -> None:
    model, x, y = case()
    epsilon = torch.where(torch.arange(len(x)) % 2 == 0, 0.0, 0.5)
    targets = (y + 1) % 5
    result = run(QUICK, model, x, y, ThreatModel("linf", 0.1, targeted=True), targets=targets, epsilon=epsilon)
    assert torch.equal(result.success, epsilon > 0)
    assert isinstance(result.adversarials, Tensor)
    with torch.no_grad():
        assert torch.equal(model(result.adversarials).argmax(1)[result.success], targets[result.success])


def test_progress_ends_at_what_was_planned() -> None:
    model, x, y = case()
    seen: list[tuple[int, int, int]] = []
    run(QUICK, model, x, y, ThreatModel("linf", 0.01), progress=lambda *step: seen.append(step))
    done = [step[0] for step in seen]
    assert done == sorted(done)
    assert seen[-1][0] == seen[-1][1]
    assert len({total for _, total, _ in seen}) == 1


def test_all_targets_in_one_batch_break_what_one_after_the_other_breaks() -> None:
    model, x, y = case(count=40)
    stages = QUICK.stages(make_problem(model, x, y, ThreatModel("linf", 0.05)))
    one_by_one = [replace(one.problem, options=replace(one.problem.options, targets_at_once=1)) for one in stages]
    last = run_cascade([(stage.attack, problem) for stage, problem in zip(stages, one_by_one, strict=True)])[-1]
    together = run(QUICK, model, x, y, ThreatModel("linf", 0.05))
    assert torch.equal(together.success, last.success)
    assert 0 < together.success.sum() < 40


def test_square_gives_up_survivors_that_are_far_from_the_boundary() -> None:
    model = linear_model(3, (1, 16, 16), seed=1).float()
    x = torch.rand(6, 1, 16, 16, generator=torch.Generator().manual_seed(3))
    y = model(x).argmax(1)
    far = ThreatModel("linf", 0.002)
    soon, never = (
        run(Standard(steps=1, queries=1500, patience=patience), model, x, y, far) for patience in (4.0, None)
    )
    assert torch.equal(soon.success, never.success)
    assert not never.given_up.any()
    assert soon.given_up.any()
    assert ((never.forwards - soon.forwards)[soon.given_up] == 1497 - 1001).all()


def test_it_has_losses_of_its_own() -> None:
    model, x, y = case()
    with pytest.raises(InvalidInput, match="brings its own losses"):
        run(QUICK, model, x, y, ThreatModel("linf", 0.1), loss=Margin())


@pytest.mark.parametrize("options", [{"steps": 0}, {"num_targets": 0}, {"queries": 1}])
def test_bad_hyper_parameters_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(InvalidInput, match="give at least"):
        Standard(**options)


def test_a_model_without_a_defense_gives_no_warning() -> None:
    model, x, y = case()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(QUICK, model, x, y, ThreatModel("linf", 0.05))
