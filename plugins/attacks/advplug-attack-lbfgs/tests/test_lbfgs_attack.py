"""L-BFGS on linear models, where the least distance is known, and on digits beside FAB."""

from __future__ import annotations

import pytest
import torch
from advplug_attack_lbfgs._lbfgs import LBFGS
from torch import Tensor, nn

from advplug import ThreatModel, load, run
from advplug.errors import InvalidInput
from advplug.losses import CrossEntropy, Margin
from advplug.testing.digits import shipped_digits
from advplug.testing.linear import distance_over_optimum, linear_model


@pytest.mark.parametrize(
    ("bounds", "batch", "classes", "targeted"),
    [
        ((0.0, 1.0), 8, 2, False),
        ((-1.0, 3.0), 8, 2, False),
        ((-1.0, 3.0), 1, 2, True),
        ((0.0, 1.0), 1, 2, True),
        ((0.0, 1.0), 8, 5, False),  # it goes for the class of the least gap, which elsewhere need not be the nearest
    ],
)
def test_reaches_the_nearest_class_of_a_linear_model(
    *, bounds: tuple[float, float], batch: int, classes: int, targeted: bool
) -> None:
    attack = LBFGS(search_steps=12, steps=20)
    ratio = distance_over_optimum(attack, "l2", bounds=bounds, batch=batch, classes=classes, targeted=targeted)
    assert ratio.max() <= 1.05, ratio


def test_comes_as_near_as_fab_on_digits() -> None:
    net, x, y = shipped_digits("mnist-relu", 6)
    pytest.importorskip("advplug_attack_fab")
    reference = run(load("attack:fab")(steps=20), net, x, y, ThreatModel("l2"))
    for warm_start in (False, True):
        result = run(LBFGS(steps=25, warm_start=warm_start), net, x, y, ThreatModel("l2"))
        assert result.success.all()
        assert result.distance.mean() <= 1.05 * reference.distance.mean()


def test_cross_entropy_towards_a_target_is_the_attack_of_the_paper() -> None:
    net, x, y = shipped_digits("mnist-relu", 3)
    targets, threat = (y + 1) % 10, ThreatModel("l2", targeted=True)
    paper = run(LBFGS(steps=20), net, x, y, threat, targets=targets, loss=CrossEntropy())
    usual = run(LBFGS(steps=20), net, x, y, threat, targets=targets)
    assert paper.success.all()
    assert usual.success.all()
    assert torch.equal(net(paper.adversarials).argmax(1), targets)
    assert paper.distance.mean() <= 1.1 * usual.distance.mean()


class Saturated(nn.Module):
    """Class 1 where the values of an image that starts at the bounds have moved inwards."""

    def forward(self, x: Tensor) -> Tensor:
        inwards = (x.flatten(1) - 0.5).abs().sub(0.5).neg().sum(1)
        return torch.stack((torch.full_like(inwards, 1.0), inwards + 0.5), 1)


def test_values_at_the_bounds_move() -> None:
    """Under a change of variable by tanh they have no gradient, and never do."""
    x = torch.tensor([0.0, 1.0], dtype=torch.float64).repeat(3, 8)
    y = torch.zeros(3, dtype=torch.int64)
    result = run(LBFGS(steps=30), Saturated(), x, y, ThreatModel("l2"))
    assert result.success.all()
    assert (result.distance <= 1.05 * 0.5 / 16**0.5).all()


def test_failures_come_back_as_they_were() -> None:
    """Foolbox's Carlini-Wagner attack gives black images here, and calls them successes."""

    class Stubborn(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack((5 + 0 * x.flatten(1).sum(1), x.flatten(1).mean(1)), 1)

    x, y = torch.rand(4, 1, 2, 2, generator=torch.Generator().manual_seed(0)), torch.zeros(4, dtype=torch.int64)
    result = run(LBFGS(steps=10), Stubborn(), x, y, ThreatModel("l2"))
    assert not result.success.any()
    assert torch.equal(result.adversarials, x)


def test_all_logits_may_be_negative() -> None:
    net = linear_model(3, (6,))
    x = torch.rand(4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = net(x).argmax(1)

    class Lowered(nn.Module):
        def forward(self, points: Tensor) -> Tensor:
            return net(points) - 1000

    usual = run(LBFGS(steps=20), net, x, y, ThreatModel("l2"), loss=Margin())
    lowered = run(LBFGS(steps=20), Lowered(), x, y, ThreatModel("l2"), loss=Margin())
    assert lowered.success.all()
    assert lowered.distance.mean() <= 1.05 * usual.distance.mean()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"search_steps": 0}, "at least 1"),
        ({"steps": 0}, "at least 1"),
        ({"memory": 0}, "at least 1"),
        ({"initial_c": 0.0}, "positive"),
    ],
)
def test_bad_options_say_what_to_change(options: dict[str, int], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        LBFGS(**options)  # type: ignore[arg-type]
