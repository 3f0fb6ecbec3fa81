"""VFGA: one value more in each step, few gradients, Foolbox's attack with many more."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from advplug_attack_sparse import VFGA
from torch import Tensor

from advplug import ThreatModel, run
from advplug.testing.digits import shipped_digits
from advplug.testing.linear import linear_model
from advplug.testing.models import Watched


def watched_points(attack: VFGA) -> tuple[Tensor, list[Tensor]]:
    """An input far from the boundary, and the points (1, 3, 4, 4) on the way from it."""
    watched = Watched(attack)
    model = linear_model(2, (3, 4, 4), seed=3)
    x = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    run(watched, model, x, model(x).argmax(1), ThreatModel("l0"))
    return x, [point for point, _, _ in watched.points]


@pytest.mark.parametrize("pixels", [False, True])
def test_each_step_changes_one_unit_more(pixels: bool) -> None:
    x, points = watched_points(VFGA(steps=5, pixels=pixels))
    changed = [(point != x).any(1) if pixels else (point != x) for point in points]
    counts = [int(one.sum()) for one in changed]
    assert sorted(set(counts)) == list(range(max(counts) + 1))
    for before, after in pairwise(changed):
        assert (after | ~before).all(), "what has changed is not given back"


def test_a_few_gradients_come_as_near_as_hundreds_of_foolbox() -> None:
    """8.5 values is the median of Foolbox's L0FMNAttack with 200 steps; see test_sigma_zero.py."""
    net, x, y = shipped_digits("mnist", 20, "adversarial-training")
    result = run(VFGA(), net, x, y, ThreatModel("l0"))
    assert result.success.all()
    assert result.distance.median() <= 8.5
    assert result.backwards.double().mean() < 20


def test_gradients_are_one_for_each_changed_value() -> None:
    net, x, y = shipped_digits("mnist", 20, "adversarial-training")
    result = run(VFGA(samples=3), net, x, y, ThreatModel("l0"))
    assert torch.equal(result.backwards.double(), result.distance)
    assert (result.forwards >= 7 * result.distance).all()


def test_more_samples_find_fewer_values() -> None:
    net, x, y = shipped_digits("mnist", 20, "adversarial-training")
    one, many = (run(VFGA(samples=samples), net, x, y, ThreatModel("l0")).distance for samples in (1, 20))
    assert many.mean() < one.mean()


def test_targets_are_reached() -> None:
    net, x, y = shipped_digits("mnist", 10, "adversarial-training")
    targets = (y + 1) % 10
    result = run(VFGA(), net, x, y, ThreatModel("l0", targeted=True), targets=targets)
    assert result.success.all()
    assert torch.equal(net(result.adversarials).argmax(1), targets)


def test_random_lengths_belong_to_the_seed() -> None:
    net, x, y = shipped_digits("mnist", 5, "adversarial-training")
    first, again, other = (run(VFGA(), net, x, y, ThreatModel("l0"), seed=seed).adversarials for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
