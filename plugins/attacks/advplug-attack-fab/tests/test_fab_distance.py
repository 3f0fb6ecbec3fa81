"""FAB on linear models, where the least distance is known, and on digits beside torchattacks' at equal gradients."""

from __future__ import annotations

import pytest
import torch
from advplug_attack_fab import FAB

from advplug import ThreatModel, run
from advplug.losses import Margin
from advplug.numerics import norms
from advplug.testing.digits import shipped_digits
from advplug.testing.linear import distance_over_optimum
from advplug.threat import Norm


@pytest.mark.parametrize(
    ("bounds", "batch", "classes", "targeted"),
    [
        ((0.0, 1.0), 8, 2, False),
        ((-1.0, 3.0), 1, 2, True),
        ((0.0, 1.0), 1, 2, True),
        ((-1.0, 3.0), 8, 5, False),
    ],
)
@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_reaches_the_nearest_class_of_a_linear_model(
    norm: Norm, *, bounds: tuple[float, float], batch: int, classes: int, targeted: bool
) -> None:
    attack = FAB(steps=30)
    ratio = distance_over_optimum(attack, norm, bounds=bounds, batch=batch, classes=classes, targeted=targeted)
    assert ratio.max() <= 1.05, ratio


@pytest.mark.parametrize("preset", ["mnist-relu", "mnist-at"])
@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_is_nearer_than_torchattacks_at_fewer_gradients(norm: Norm, preset: str) -> None:
    """Ten steps each: ours take nine gradients, theirs ten."""
    torchattacks = pytest.importorskip("torchattacks")
    net, x, y = shipped_digits(preset)
    theirs = torchattacks.FAB(net, norm=norm.capitalize(), steps=10).attack_single_run(x, y)
    ours = run(FAB(steps=10), net, x, y, ThreatModel(norm))
    assert ours.success.all()
    assert (net(theirs).argmax(1) != y).all()
    assert ours.distance.mean() <= norms(theirs - x, norm).mean()


def test_restarts_come_nearer_and_never_lose() -> None:
    net, x, y = shipped_digits("mnist-at", 8)
    one = run(FAB(steps=10), net, x, y, ThreatModel("l2"))
    three = run(FAB(steps=10), net, x, y, ThreatModel("l2"), restarts=3)
    assert (three.distance <= one.distance).all()
    assert three.distance.mean() < 0.95 * one.distance.mean()
    assert (three.restart > 0).any()


def test_each_class_in_turn_is_fab_t() -> None:
    """One backward pass per step: at nine times the steps, the same number of gradients, and as near."""
    net, x, y = shipped_digits("mnist-relu", 8)
    usual = run(FAB(steps=10), net, x, y, ThreatModel("l2"))
    each = run(FAB(steps=10), net, x, y, ThreatModel("l2"), targets="each", loss=Margin())
    assert torch.equal(each.backwards, usual.backwards)
    assert each.success.all()
    assert each.distance.mean() < usual.distance.mean()


def test_the_final_search_helps_most_where_steps_go_far() -> None:
    net, x, y = shipped_digits("mnist-at", 8)
    for norm in ("linf", "l2", "l1"):
        searched, plain = (run(FAB(steps=5, bisections=k), net, x, y, ThreatModel(norm)) for k in (3, 0))  # type: ignore[arg-type]
        assert (searched.distance <= plain.distance).all()
        assert searched.distance.mean() < 0.95 * plain.distance.mean()


def test_reaches_given_classes_of_a_network() -> None:
    net, x, y = shipped_digits("mnist-relu", 8)
    targets = (y + 1) % 10
    result = run(FAB(steps=50), net, x, y, ThreatModel("l2", targeted=True), targets=targets)
    assert result.success.all()
    assert torch.equal(net(result.adversarials).argmax(1), targets)
