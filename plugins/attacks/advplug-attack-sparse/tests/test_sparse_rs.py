"""Sparse-RS: what it proposes, its schedule, and networks whose gradient misleads."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from advplug_attack_sparse import SigmaZero, SparseRS
from torch import Tensor, nn

from advplug import ThreatModel, run
from advplug.errors import InvalidInput
from advplug.testing.digits import shipped_digits
from advplug.testing.models import Watched


class Stubborn(nn.Module):
    """Always right and always the same margin: every proposal is refused."""

    def forward(self, x: Tensor) -> Tensor:
        still = 0 * x.flatten(1).sum(1)
        return torch.stack((still + 1, still), 1)


def proposals(epsilon: float, x: Tensor, **options: Any) -> list[Tensor]:
    watched = Watched(SparseRS(queries=30, **options))
    run(watched, Stubborn(), x, torch.zeros(len(x), dtype=torch.int64), ThreatModel("l0", epsilon))
    return [point for point, _, _ in watched.points]


@pytest.mark.parametrize("k", [1, 5, 48])
def test_every_proposal_uses_the_whole_budget(k: int) -> None:
    x = torch.rand(6, 3, 4, 4).round()  # at the ends of their range: there is one other end
    for point in proposals(k, x):
        assert ((point != x).flatten(1).sum(1) == k).all()


def test_pixels_go_to_corners_with_all_their_channels() -> None:
    x = torch.rand(6, 3, 4, 4)
    for point in proposals(8, x, pixels=True):
        assert ((point != x).any(1).flatten(1).sum(1) == 2).all(), "8 values are 2 pixels of 3"
        moved = (point != x).any(1, keepdim=True).expand_as(x)
        assert set(point[moved].tolist()) <= {0.0, 1.0}


def test_a_step_exchanges_a_share_of_the_units() -> None:
    x = torch.full((6, 1, 10, 10), 0.5)
    points = proposals(20, x, alpha_init=0.5)
    for point in points[2:]:  # every proposal is refused, so all start from the first point
        left = ((points[0] != x) & (point == x)).flatten(1).sum(1)
        assert ((left >= 1) & (left <= 5)).all()


def test_the_schedule_is_that_of_the_authors() -> None:
    attack = SparseRS(queries=10_000)
    divisors = [round(0.3 / attack.share(tried)) for tried in (0, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)]
    assert divisors == [2, 4, 5, 6, 8, 10, 12, 15, 20]
    assert SparseRS(queries=100).share(99) == pytest.approx(0.3 / 20), "stretched to the number of queries"


def test_no_pixel_fits_into_a_budget_of_two_values() -> None:
    x = torch.rand(2, 3, 4, 4)
    labels = torch.zeros(2, dtype=torch.int64)
    result = run(SparseRS(queries=50, pixels=True), Stubborn(), x, labels, ThreatModel("l0", 2))
    assert not result.success.any()
    assert result.forwards.max() <= 1


def test_finds_fewer_values_than_a_gradient_that_misleads() -> None:
    """Adversarial training under linf hides sparse directions from gradients."""
    net, x, y = shipped_digits("mnist-linf", 6, "adversarial-training")
    scores = run(SparseRS(queries=300), net, x, y, ThreatModel("l0"))
    gradients = run(SigmaZero(steps=200), net, x, y, ThreatModel("l0"))
    assert scores.success.all()
    assert scores.distance.median() < gradients.distance.median()
    assert not scores.backwards.any()


def test_more_proposals_at_once_cost_as_many_queries() -> None:
    net, x, y = shipped_digits("mnist", 10, "adversarial-training")
    threat = ThreatModel("l0", 12)
    one, many = (run(SparseRS(queries=201, proposals=p), net, x, y, threat) for p in (1, 10))
    assert one.success.any()
    assert many.success.any()
    assert many.forwards.max() <= 201 + 10


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"queries": 1}, "queries is 1: give at least 2"),
        ({"alpha_init": 0.0}, r"alpha_init is 0.0: give a number in \(0, 1\]"),
        ({"proposals": 9, "queries": 9}, "proposals is 9: give fewer than queries, 9"),
    ],
)
def test_bad_hyper_parameters_are_refused_with_a_remedy(options: dict[str, Any], remedy: str) -> None:
    with pytest.raises(InvalidInput, match=remedy):
        SparseRS(**options)
