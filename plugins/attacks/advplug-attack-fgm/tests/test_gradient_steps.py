"""Steps without a budget: what each step adds, when a sample is done, and how the four losses rank on digits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from advplug_attack_fgm import GradientSteps
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from advplug import ThreatModel, run
from advplug.errors import InvalidInput
from advplug.losses import CrossEntropy, Logit, Loss, MultiTargetLogit
from advplug.testing.digits import shipped_digits
from advplug.testing.linear import linear_model
from advplug.testing.models import Watched

LOSSES: dict[str, tuple[Loss, bool]] = {
    "CE": (CrossEntropy(), False),
    "CE-sign": (CrossEntropy(), True),
    "Logit": (Logit(), False),
    "M-logit": (MultiTargetLogit(), False),
}


def path(attack: GradientSteps, net: nn.Module, x: Tensor, loss: Loss, **words: Any) -> Tensor:
    """Every point of the way, (steps + 1, n, ...), towards the class after the model's own."""
    watched = Watched(attack)
    y = net(x).argmax(1)
    targets = (y + 1) % net(x).shape[1]
    threat = ThreatModel("l2", targeted=True, **words)
    run(watched, net, x, y, threat, targets=targets, loss=loss)
    return torch.stack([point for point, _, _ in watched.points])


@settings(max_examples=30)
@given(
    st.sampled_from([*LOSSES]),
    st.floats(1e-6, 1e-2),
    st.sampled_from([(0.0, 1.0), (-1.0, 3.0), (0.0, 255.0)]),
    st.integers(0, 1000),
)
def test_every_step_adds_the_same_l1_mass(
    name: str, mean_change: float, bounds: tuple[float, float], seed: int
) -> None:
    (low, high), (loss, sign) = bounds, LOSSES[name]
    net = linear_model(3, (3, 5), seed)
    net[1].weight.data /= 100 * (high - low)  # no loss goes flat
    share = 0.4 + 0.2 * torch.rand(4, 3, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    attack = GradientSteps(steps=3, mean_change=mean_change, sign=sign, stop=False)
    points = path(attack, net, low + (high - low) * share, loss, bounds=bounds)
    mass = points.diff(dim=0).abs().flatten(2).sum(2)
    torch.testing.assert_close(mass, torch.full_like(mass, 15 * mean_change * (high - low)), rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", [*LOSSES])
def test_clipping_takes_mass_away_and_bounds_hold(name: str) -> None:
    loss, sign = LOSSES[name]
    x = (torch.rand(4, 15, generator=torch.Generator().manual_seed(0)) > 0.5).double()
    points = path(GradientSteps(steps=3, mean_change=0.1, sign=sign, stop=False), linear_model(3, (15,)), x, loss)
    mass = points.diff(dim=0).abs().sum(2)
    assert (mass < 1.5).all()
    assert (mass > 0).all(), "values at the edge of the bounds move inwards"
    assert points.min() >= 0
    assert points.max() <= 1


def test_equal_multipliers_take_the_gradient_as_it_is() -> None:
    net, x = linear_model(3, (6,)), torch.full((2, 6), 0.5, dtype=torch.float64)
    weight = net[1].weight.detach()  # type: ignore[index]
    goal = (net(x).argmax(1) + 1) % 3
    points = path(GradientSteps(steps=1, equal="multiplier", multiplier=1e-3, stop=False), net, x, Logit())
    torch.testing.assert_close(points[1] - points[0], 1e-3 * weight[goal])
    points = path(GradientSteps(steps=1, equal="multiplier", multiplier=1e-3, sign=True, stop=False), net, x, Logit())
    torch.testing.assert_close(points[1] - points[0], 1e-3 * weight[goal].sign())


@pytest.mark.parametrize("equal", ["perturbation", "multiplier"])
@pytest.mark.parametrize("sign", [False, True])
def test_units_of_the_inputs_do_not_matter(equal: Any, sign: bool) -> None:
    class Unit(nn.Module):
        """The model of bytes."""

        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = self.inner(x / 255)
            return logits

    net = linear_model(3, (12,))
    x = torch.rand(4, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    attack = GradientSteps(steps=5, equal=equal, sign=sign, multiplier=0.01, mean_change=0.01, stop=False)
    small = path(attack, net, x, CrossEntropy())
    large = path(attack, Unit(net), 255 * x, CrossEntropy(), bounds=(0.0, 255.0))
    torch.testing.assert_close(large / 255, small)


@pytest.mark.parametrize("equal", ["perturbation", "multiplier"])
@pytest.mark.parametrize("sign", [False, True])
def test_a_saturated_loss_stays_where_it_is(equal: Any, sign: bool) -> None:
    """Cross-entropy towards a class that already has all of the probability: its gradient is exactly zero."""

    class Sure(nn.Module):
        """Class 1 beyond a value of one half, by a margin that no softmax in float32 can tell from certainty."""

        def forward(self, x: Tensor) -> Tensor:
            score = 1000 * (x[:, 0] - 0.5)
            return torch.stack((-score, score), 1)

    x = torch.tensor([[0.4999, 0.3]])
    result = run(
        GradientSteps(steps=60, equal=equal, sign=sign, multiplier=2e-3, mean_change=1e-3, stop=False),
        Sure(),
        x,
        torch.zeros(1, dtype=torch.int64),
        ThreatModel("l2", targeted=True),
        targets=torch.ones(1, dtype=torch.int64),
        loss=CrossEntropy(),
    )
    assert result.success.all()
    assert result.unusable_gradients.item() > 5, "it says how often there was nothing to follow"
    assert result.adversarials.isfinite().all()


def test_a_zero_gradient_is_no_step() -> None:
    class Flat(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            still = 0 * x.flatten(1).sum(1)
            return torch.stack((still + 1, still), 1)

    x = torch.rand(3, 6)
    for name, (loss, sign) in LOSSES.items():
        for equal in ("perturbation", "multiplier"):
            points = path(GradientSteps(steps=2, sign=sign, equal=equal), Flat(), x, loss)  # type: ignore[arg-type]
            assert torch.equal(points[-1], x), name


def test_each_sample_goes_to_its_own_target_and_stops_there() -> None:
    net, x, y = shipped_digits("mnist", 30, "adversarial-training")
    targets = (y + torch.arange(len(y)) % 9 + 1) % 10
    threat = ThreatModel("l2", targeted=True)
    far, near = (run(GradientSteps(stop=stop), net, x, y, threat, targets=targets) for stop in (False, True))
    assert near.success.all()
    assert torch.equal(net(near.adversarials).argmax(1), targets)
    assert torch.equal(near.target, targets)
    torch.testing.assert_close(near.adversarials, far.adversarials, atol=1e-5, rtol=0)
    assert (near.forwards < far.forwards).all()
    assert near.forwards.float().std() > 1, "each leaves at its own step"


def steps_to_target(name: str, equal: Any, **settings: Any) -> tuple[Tensor, Tensor, Tensor]:
    """For each digit: steps until it is taken for the next class; then the L2 and Linf norm of the perturbation."""
    net, x, y = shipped_digits("mnist", 40, "adversarial-training")
    loss, sign = LOSSES[name]
    attack = GradientSteps(steps=1000, equal=equal, sign=sign, **settings)
    result = run(attack, net, x, y, ThreatModel("l2", targeted=True), targets=(y + 1) % 10, loss=loss)
    assert result.success.all()
    change = (result.adversarials - x).flatten(1)
    return result.backwards.double() - 1, change.norm(dim=1).double(), change.abs().amax(1).double()


def test_the_sign_is_fast_only_where_its_steps_are_longer() -> None:
    alike = {name: steps_to_target(name, "multiplier", multiplier=0.004)[0].mean() for name in ("CE", "CE-sign")}
    assert alike["CE-sign"] < alike["CE"]
    same = {name: steps_to_target(name, "perturbation", mean_change=1e-3) for name in LOSSES}
    steps = {name: one[0].mean() for name, one in same.items()}
    assert steps["CE-sign"] > max(steps["CE"], steps["M-logit"])
    assert steps["CE"] < steps["Logit"]
    assert same["CE"][1].mean() < same["Logit"][1].mean(), "and the smaller perturbation"
    widest = {name: one[2].mean() for name, one in same.items()}
    assert 2 * widest.pop("CE-sign") < min(widest.values())


def test_logits_grow_on_where_cross_entropy_has_nothing_left() -> None:
    net, x, y = shipped_digits("mnist", 20, "adversarial-training")
    goal = (y + 1) % 10
    last = {}
    for name in ("CE", "Logit"):
        attack = GradientSteps(steps=200, equal="multiplier", multiplier=0.02, stop=False)
        point = path(attack, net, x, LOSSES[name][0])[-1]
        last[name] = net(point).gather(1, goal[:, None]).mean()
    assert last["Logit"] > 1.3 * last["CE"]


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"steps": 0}, "at least 1"),
        ({"equal": "steps"}, "perturbation, multiplier"),
        ({"mean_change": 0.0}, "mean_change is 0.0: give a positive"),
        ({"multiplier": float("inf")}, "multiplier is inf: give a positive"),
    ],
)
def test_bad_settings_of_the_steps_are_refused_with_a_remedy(options: dict[str, Any], remedy: str) -> None:
    with pytest.raises(InvalidInput, match=remedy):
        GradientSteps(**options)
