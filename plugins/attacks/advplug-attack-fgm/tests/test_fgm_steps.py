"""Where each step goes: beside Foolbox point for point, and on linear models, where the best step is known."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from advplug_attack_fgm._fgm import FGM, steepest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from advplug import ThreatModel, load, run
from advplug.errors import InvalidInput
from advplug.losses import Margin
from advplug.numerics import norms
from advplug.testing.linear import largest_change, linear_model
from advplug.testing.models import Watched
from advplug.threat import Norm


def foolbox() -> Any:
    return pytest.importorskip("foolbox")


def digits(preset: str) -> tuple[nn.Module, Tensor, Tensor]:
    pytest.importorskip("advplug_defense_adversarial_training")
    pytest.importorskip("advplug_data_mnist")
    data = load("data:mnist")().load("shipped", 50)
    net = load("defense:adversarial-training")().build(preset).eval()
    right = net(data.inputs).argmax(1) == data.labels
    return net, data.inputs[right], data.labels[right]


def last_point(attack: FGM, net: nn.Module, x: Tensor, y: Tensor, threat: ThreatModel, **words: Any) -> Tensor:
    watched = Watched(attack)  # type: ignore[arg-type]
    run(watched, net, x, y, threat, early_end=False, **words)
    return watched.points[-1][0]


@pytest.mark.parametrize(
    ("norm", "epsilon", "peer"),
    [
        ("linf", 0.1, "LinfFastGradientAttack"),
        ("l2", 1.5, "L2FastGradientAttack"),
        ("l1", 20.0, "L1FastGradientAttack"),
    ],
)
def test_one_step_is_that_of_foolbox(norm: Norm, epsilon: float, peer: str) -> None:
    net, x, y = digits("mnist")
    theirs, _, fooled = getattr(foolbox().attacks, peer)()(
        foolbox().PyTorchModel(net, bounds=(0, 1)), x, y, epsilons=epsilon
    )
    threat = ThreatModel(norm, epsilon)
    torch.testing.assert_close(last_point(FGM(), net, x, y, threat), theirs, rtol=0, atol=1e-5)
    result = run(FGM(), net, x, y, threat)
    assert fooled.any()
    assert torch.equal(result.success, fooled)
    torch.testing.assert_close(result.adversarials[fooled], theirs[fooled], rtol=0, atol=1e-5)


def test_iterative_steps_are_those_of_foolbox() -> None:
    net, x, y = digits("mnist")
    peer = foolbox().attacks.LinfBasicIterativeAttack(steps=5, rel_stepsize=1 / 5, random_start=False)
    theirs = peer(foolbox().PyTorchModel(net, bounds=(0, 1)), x, y, epsilons=0.1)[0]
    ours = last_point(FGM(steps=5), net, x, y, ThreatModel("linf", 0.1))
    same = (ours - theirs).abs() < 1e-5
    assert same.float().mean() > 0.999, "a gradient of almost zero may turn its sign by rounding"


def test_targeted_steps_go_towards_the_target() -> None:
    net, x, y = digits("mnist")
    goal = (y + 1) % 10
    ours = last_point(FGM(), net, x, y, ThreatModel("linf", 0.1, targeted=True), targets=goal)
    before = nn.functional.cross_entropy(net(x), goal, reduction="none")
    after = nn.functional.cross_entropy(net(ours), goal, reduction="none")
    assert (after < before).float().mean() > 0.9


def test_more_steps_break_more() -> None:
    net, x, y = digits("mnist")
    broken = [int(run(FGM(steps=n), net, x, y, ThreatModel("linf", 0.1)).success.sum()) for n in (1, 10)]
    assert broken[0] < broken[1]


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 3.0)])
@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.1), ("linf", 0.7), ("l1", 0.5), ("l1", 6.0)])
def test_signs_and_steepest_steps_are_the_optimum(
    norm: Norm, epsilon: float, steps: int, bounds: tuple[float, float]
) -> None:
    model = linear_model(2, (2, 3, 4))
    share = torch.rand(16, 2, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = bounds[0] + (bounds[1] - bounds[0]) * share
    y = model(x).argmax(1)
    for targeted in (False, True):
        words = {"targets": 1 - y} if targeted else {}
        threat = ThreatModel(norm, epsilon, bounds, targeted)
        point = last_point(FGM(steps=steps, l1_rule="steepest"), model, x, y, threat, loss=Margin(), **words)
        weight = model[1].weight.detach()
        push = weight[y] - weight[1 - y]
        change = (push * (x - point).flatten(1)).sum(1)
        torch.testing.assert_close(change, largest_change(push, x.flatten(1), norm, epsilon, bounds))


def test_the_dense_l1_step_is_far_from_the_steepest() -> None:
    net, x, y = digits("mnist")
    threat = ThreatModel("l1", 10.0)
    dense = run(FGM(l1_rule="gradient"), net, x, y, threat).success.sum()
    assert run(FGM(l1_rule="steepest"), net, x, y, threat).success.sum() > dense


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.floats(0.0, 30.0), st.sampled_from([(0.0, 1.0), (-1.0, 3.0)]))
def test_the_steepest_step_fits(seed: int, size: float, bounds: tuple[float, float]) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = bounds[0] + (bounds[1] - bounds[0]) * torch.rand(3, 9, generator=generator, dtype=torch.float64).round(
        decimals=1
    )
    g = torch.randn(3, 9, generator=generator, dtype=torch.float64)
    g[0] = 0
    g[1, :5] = 0
    step = steepest(x, g, torch.full((3,), size, dtype=torch.float64), bounds)
    assert (step[g == 0] == 0).all()
    assert step.abs().sum(1).max() <= size * (1 + 1e-9)
    assert (x - step).min() >= bounds[0] - 1e-9
    assert (x - step).max() <= bounds[1] + 1e-9


@pytest.mark.parametrize(("norm", "epsilon"), [("l2", 1.0), ("l1", 2.0)])
def test_rescaling_brings_every_point_to_the_budget(norm: Norm, epsilon: float) -> None:
    model = linear_model(3, (12,), seed=4)
    x = 0.4 + 0.2 * torch.rand(8, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y, threat = model(x).argmax(1), ThreatModel(norm, epsilon, (-5.0, 5.0))
    watched = Watched(FGM(steps=4, rescale=True))  # type: ignore[arg-type]
    run(watched, model, x, y, threat, early_end=False)
    sizes = torch.stack([norms(point - x, norm) for point, _, _ in watched.points])
    torch.testing.assert_close(sizes[1:], torch.full_like(sizes[1:], epsilon))
    plain = Watched(FGM(steps=4))  # type: ignore[arg-type]
    run(plain, model, x, y, threat, early_end=False)
    assert norms(plain.points[1][0] - x, norm).max() < 0.26 * epsilon, "a quarter of it with each step"


def test_no_gradient_no_step() -> None:
    class Flat(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            still = 0 * x.flatten(1).sum(1)
            return torch.stack((still + 1, still), 1)

    x = torch.rand(3, 6)
    for norm in ("linf", "l2", "l1"):
        for options in ({}, {"rescale": True}, {"l1_rule": "steepest"}):
            threat = ThreatModel(norm, 1.0)  # type: ignore[arg-type]
            point = last_point(FGM(steps=2, **options), Flat(), x, torch.zeros(3).long(), threat)  # type: ignore[arg-type]
            assert torch.equal(point, x)


@pytest.mark.parametrize(("options", "remedy"), [({"steps": 0}, "at least 1"), ({"l1_rule": "dense"}, "gradient")])
def test_bad_hyper_parameters_are_refused_with_a_remedy(options: dict[str, Any], remedy: str) -> None:
    with pytest.raises(InvalidInput, match=remedy):
        FGM(**options)
