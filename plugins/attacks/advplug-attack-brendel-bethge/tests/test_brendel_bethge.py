"""Distances on linear models, where the least one is known, and beside Foolbox's on digits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from advplug_attack_brendel_bethge import BrendelBethge

from advplug import ThreatModel, run
from advplug.errors import InvalidInput
from advplug.numerics import norms
from advplug.testing.digits import shipped_digits
from advplug.testing.linear import distance_over_optimum
from advplug.threat import Norm

SHORT = BrendelBethge(steps=60, radius=0.02)


@pytest.mark.parametrize(
    ("bounds", "classes", "targeted"),
    [((0.0, 1.0), 2, False), ((-1.0, 3.0), 2, True), ((-1.0, 3.0), 5, False)],
)
@pytest.mark.parametrize(("norm", "most"), [("linf", 1.05), ("l2", 1.3), ("l1", 1.05), ("l0", 1.01)])
def test_reaches_the_boundary_of_a_linear_model(
    norm: Norm, most: float, *, bounds: tuple[float, float], classes: int, targeted: bool
) -> None:
    attack = BrendelBethge(steps=60, radius=None if norm == "l0" else 0.1)
    ratio = distance_over_optimum(attack, norm, bounds=bounds, batch=8, classes=classes, targeted=targeted)
    assert ratio.max() <= most, ratio


@pytest.mark.parametrize("norm", ["linf", "l2", "l1", "l0"])
def test_is_as_near_as_foolbox_from_the_same_start(norm: Norm) -> None:
    """At equal steps and radii; Foolbox's radius grows with the batch."""
    pytest.importorskip("numba")
    foolbox = pytest.importorskip("foolbox")
    net, x, y = shipped_digits("mnist-relu", 6)
    kind = {
        "linf": foolbox.attacks.LinfinityBrendelBethgeAttack,
        "l2": foolbox.attacks.L2BrendelBethgeAttack,
        "l1": foolbox.attacks.L1BrendelBethgeAttack,
        "l0": foolbox.attacks.L0BrendelBethgeAttack,
    }[norm]
    model, criterion = foolbox.PyTorchModel(net, bounds=(0, 1)), foolbox.criteria.Misclassification(y)
    torch.manual_seed(0)
    start = foolbox.attacks.LinearSearchBlendedUniformNoiseAttack(steps=50).run(model, x, criterion)
    theirs = kind(steps=60).run(model, x, criterion, starting_points=start)
    attack = BrendelBethge(steps=60, radius=1e-3 * len(x))
    ours = run(attack, net, x, y, ThreatModel(norm), starting_points=start)
    assert ours.success.all()
    assert ours.distance.median() <= 1.02 * norms(theirs - x, norm).median()


def test_restarts_begin_elsewhere_and_never_lose() -> None:
    net, x, y = shipped_digits("mnist-relu", 6)
    one, three = (run(SHORT, net, x, y, ThreatModel("l2"), restarts=n) for n in (1, 3))
    assert (three.distance <= one.distance).all()
    assert (three.restart > 0).any()


def test_more_steps_come_nearer() -> None:
    net, x, y = shipped_digits("mnist-relu", 6)
    few, many = (run(BrendelBethge(steps=n, radius=0.02), net, x, y, ThreatModel("l1")) for n in (10, 80))
    assert (many.distance < few.distance).all()


def test_reaches_given_classes() -> None:
    net, x, y = shipped_digits("mnist-relu", 6)
    targets = (y + 1) % 10
    result = run(SHORT, net, x, y, ThreatModel("linf", targeted=True), targets=targets)
    assert result.success.all()
    assert torch.equal(net(result.adversarials).argmax(1), targets)


def test_masked_values_stay() -> None:
    net, x, y = shipped_digits("mnist-relu", 6)
    mask = np.zeros((1, 28, 28), dtype=bool)
    mask[:, :20] = True
    result = run(SHORT, net, x, y, ThreatModel("l2", mask=mask))
    assert result.success.any()
    assert torch.equal(result.adversarials[:, :, 20:], x[:, :, 20:])


def test_an_overshoot_below_one_is_refused() -> None:
    with pytest.raises(InvalidInput, match="overshoot"):
        BrendelBethge(overshoot=0.9)
