"""The one-pixel attack: evolution, drawing, ART's attack on the same digits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from advplug_attack_sparse import OnePixel
from advplug_attack_sparse._evolution import children
from torch import Tensor, nn

from advplug import ThreatModel, run
from advplug.errors import InvalidInput
from advplug.numerics import Noise
from advplug.testing.digits import shipped_digits
from advplug.testing.models import Watched

SMALL: dict[str, Any] = {"population": 60, "generations": 20}
ART = 2
"""How many of ten digits ART 1.20.1's PixelAttack breaks by one pixel in 7040 queries each, where it is missing."""


class Stubborn(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        total = x.flatten(1).sum(1)
        return torch.stack((100 + total, total), 1)


def points_of(epsilon: float, x: Tensor, **options: Any) -> list[Tensor]:
    watched = Watched(OnePixel(population=20, generations=5, **options))
    run(watched, Stubborn(), x, torch.zeros(len(x), dtype=torch.int64), ThreatModel("l0", epsilon))
    return [point for point, _, _ in watched.points]


def test_children_are_made_of_three_others() -> None:
    """Of distinct powers of two, the sum of weights 1, F and -F tells who the three were."""
    n, members = 3, 8
    values = 2.0 ** torch.arange(members) / 2**12
    parents = values[None, :, None, None].expand(n, members, 1, 1).contiguous()
    born = children(parents, 0.5, Noise.of(0, torch.arange(n), 0), step=0)
    possible = {
        float(values[a] + 0.5 * (values[b] - values[c]))
        for a in range(members)
        for b in range(members)
        for c in range(members)
        if len({a, b, c}) == 3
    }
    inside = [round(value * 2**13) for value in possible if 0 <= value < 1]
    exact = [value for value in born.flatten().tolist() if round(value * 2**13) == value * 2**13]
    assert len(exact) > 0.6 * born.numel(), "the others left the range and were drawn anew"
    assert {round(value * 2**13) for value in exact} <= set(inside)


def test_genes_outside_their_range_are_drawn_anew() -> None:
    parents = torch.rand(2, 30, 2, 4, generator=torch.Generator().manual_seed(0)).round() * 0.999
    born = children(parents, 2.0, Noise.of(0, torch.arange(2), 0), step=0)
    assert born.min() >= 0
    assert born.max() < 1


@pytest.mark.parametrize("shape", [(3, 4, 4), (1, 6, 2), (9,), (2, 5)])
@pytest.mark.parametrize("k", [1, 3])
def test_at_most_as_many_values_as_the_budget_change(k: int, shape: tuple[int, ...]) -> None:
    x = torch.rand(4, *shape)
    counts = torch.stack([(point != x).flatten(1).sum(1) for point in points_of(k, x)])
    assert counts.max() == k
    assert counts.min() >= 1


def test_places_and_colours_are_spread_over_their_ranges() -> None:
    x = torch.full((40, 1, 3, 5), 0.5)
    changed = torch.stack([point - x for point in points_of(1, x)])
    assert (changed != 0).flatten(0, 1).any(0).all(), "every place is reached"
    assert changed.min() < -0.4
    assert changed.max() > 0.4


def test_a_budget_of_values_is_a_budget_of_whole_pixels() -> None:
    x = torch.full((6, 3, 4, 4), 0.5)
    counts = torch.stack([(point != x).any(1).flatten(1).sum(1) for point in points_of(7, x, pixels=True)])
    assert counts.max() == 2


def test_breaks_as_many_digits_as_art() -> None:
    net, x, y = shipped_digits("mnist-linf", 10, "adversarial-training")
    ours = run(OnePixel(generations=16), net, x, y, ThreatModel("l0", 1))
    assert ours.success.sum() >= ART
    assert ours.forwards.max() <= 7040
    assert not ours.backwards.any()


def test_more_generations_break_more() -> None:
    net, x, y = shipped_digits("mnist-linf", 20, "adversarial-training")
    threat = ThreatModel("l0", 4)
    first, last = (run(OnePixel(population=60, generations=count), net, x, y, threat) for count in (1, 30))
    assert last.success.sum() > first.success.sum()
    assert (last.success | ~first.success).all()


def test_targets_are_reached() -> None:
    net, x, y = shipped_digits("mnist-linf", 10, "adversarial-training")
    threat = ThreatModel("l0", 12, targeted=True)
    result = run(OnePixel(**SMALL), net, x, y, threat, targets="each")
    reached = net(result.adversarials).argmax(1)
    assert result.success.any()
    assert torch.equal(reached[result.success], result.target[result.success])


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"population": 2}, "population is 2: give at least 3"),
        ({"generations": 0}, "generations is 0: give at least 1"),
        ({"factor": 0.0}, "positive"),
    ],
)
def test_bad_hyper_parameters_are_refused_with_a_remedy(options: dict[str, Any], remedy: str) -> None:
    with pytest.raises(InvalidInput, match=remedy):
        OnePixel(**options)
