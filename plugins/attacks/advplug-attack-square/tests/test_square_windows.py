"""What the search proposes: windows of its own for every sample, on images of any shape, within bounds and budget."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from advplug_attack_square import Square
from advplug_attack_square._bumps import bumps
from advplug_attack_square._windows import window, window_sides
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from advplug import ThreatModel, run
from advplug.errors import InvalidInput
from advplug.losses import CrossEntropy, Margin
from advplug.numerics import norms
from advplug.testing.linear import linear_model
from advplug.testing.models import Watched
from advplug.threat import Norm

BUDGETS: list[tuple[Norm, float]] = [("linf", 0.1), ("l2", 1.0)]


class Stubborn(nn.Module):
    """Always right and always the same margin: every proposal is refused."""

    def forward(self, x: Tensor) -> Tensor:
        still = 0 * x.flatten(1).sum(1)
        return torch.stack((still + 1, still), 1)


def proposals(shape: tuple[int, ...], norm: Norm, epsilon: float, count: int = 6, **options: Any) -> list[Tensor]:
    """The points (count, *shape) that the search proposes for grey inputs which nothing breaks."""
    watched = Watched(Square(queries=40))
    x = torch.full((count, *shape), 0.5, dtype=torch.float64)
    labels = torch.zeros(count, dtype=torch.int64)
    run(watched, Stubborn(), x, labels, ThreatModel(norm, epsilon, **options))
    return [point for point, _, _ in watched.points]


def places(points: list[Tensor]) -> Tensor:
    """Where each proposal differs from the start: the first row and column, (steps, n, 2)."""
    found = []
    for point in points[1:]:
        changed = (point - points[0]).abs().amax(1) > 1e-9
        rows, columns = changed.any(2), changed.any(1)
        found.append(torch.stack((rows.float().argmax(1), columns.float().argmax(1)), 1))
    return torch.stack(found)


def test_every_sample_has_a_window_of_its_own() -> None:
    own = places(proposals((3, 12, 12), "linf", 0.1))
    assert (own != own[:, :1]).any(2).any(1).float().mean() > 0.9


def test_the_peer_shares_one_window_over_the_batch() -> None:
    torchattacks = pytest.importorskip("torchattacks")
    seen: list[Tensor] = []

    class Recording(Stubborn):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x.clone())
            return super().forward(x)

    x, y = torch.full((6, 3, 12, 12), 0.5), torch.zeros(6, dtype=torch.int64)
    torchattacks.Square(Recording(), eps=0.1, n_queries=40)(x, y)
    start = next(i for i, point in enumerate(seen) if not torch.equal(point, x))
    shared = places(seen[start:-1])
    moved = (shared[-20:] == shared[-20:, :1]).all(2).float().mean()
    assert moved > 0.6, "they differ only where the sign of a window does not change anything"


@pytest.mark.parametrize(("norm", "epsilon"), BUDGETS)
def test_windows_reach_every_row_and_column(norm: Norm, epsilon: float) -> None:
    """With ``randint(0, h - s)``, as in the authors' code, nothing ever reaches the last row and column."""
    points = proposals((1, 9, 9), norm, epsilon, count=40)
    changed = torch.stack([(point - points[0]).abs() > 1e-9 for point in points[20:]]).any(0).any(0)[0]
    assert changed.all()
    corner = window(torch.tensor([[0.9999999, 0.9999999]]), (1, 1), 9, 9)
    assert corner.tolist() == [[80]]


@pytest.mark.parametrize(("norm", "epsilon"), BUDGETS)
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 5, 40), (3, 40, 5), (2, 1, 7), (6, 9), (30,), (1, 1, 1), (1, 3, 2)])
def test_images_of_any_shape_and_vectors(shape: tuple[int, ...], norm: Norm, epsilon: float) -> None:
    points = proposals(shape, norm, epsilon, bounds=(-1.0, 3.0))
    clean = torch.full_like(points[0], 0.5)
    for point in points:
        assert point.shape == clean.shape
        assert norms(point - clean, norm).max() <= epsilon * (1 + 1e-6)
    assert len({point.numpy().tobytes() for point in points}) > 1, "it proposes something new"


@settings(max_examples=60)
@given(st.floats(1e-4, 1.0), st.integers(1, 40), st.integers(1, 40), st.booleans())
def test_windows_fit_and_cover_their_share(p: float, height: int, width: int, odd: bool) -> None:
    rows, columns = window_sides(p, height, width, odd)
    assert 1 <= rows <= height
    assert 1 <= columns <= width
    if not odd:
        assert rows * columns == pytest.approx(p * height * width, abs=max(rows, columns) + 1)
    places_ = window(torch.rand(5, 2), (rows, columns), height, width)
    assert places_.min() >= 0
    assert places_.max() < height * width
    assert all(len(set(row)) == rows * columns for row in places_.tolist())


@pytest.mark.parametrize("sides", [(5, 5), (4, 4), (1, 6), (6, 1), (1, 1)])
def test_bumps_have_norm_one_and_two_signs(sides: tuple[int, int]) -> None:
    for bump in bumps(*sides, torch.device("cpu"), torch.float64):
        assert bump.shape == sides
        assert bump.norm().item() == pytest.approx(1)
        if min(sides) > 1:
            assert bump.min() < 0 < bump.max()


def test_only_improvements_are_kept_for_each_sample() -> None:
    """The least loss so far is what every later proposal starts from."""
    watched = Watched(Square(queries=120))
    model = linear_model(3, (1, 8, 8), seed=1)
    x = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = model(x).argmax(1)
    result = run(watched, model, x, y, ThreatModel("linf", 0.05), early_end=False)
    points = torch.stack([point for point, _, _ in watched.points])
    best, rows = 0, torch.arange(6)
    kept = torch.zeros(6, dtype=torch.int64)
    for t in range(1, len(points)):
        share = (points[t] != points[kept, rows]).flatten(1).double().mean(1)
        assert share.max() <= 0.85, "a proposal differs from the best point by one window"
        better = result.trace[t] < result.trace[kept, rows]
        best += int(better.sum())
        kept = torch.where(better, t, kept)
    assert best > 30


def test_the_window_shrinks_on_the_schedule_of_the_paper() -> None:
    at = {0: 0.8, 10: 0.8, 11: 0.4, 51: 0.2, 201: 0.1, 1001: 0.025, 8001: 0.8 / 512, 9999: 0.8 / 512}
    assert {t: Square(queries=10_000).share(t) for t in at} == pytest.approx(at)
    assert Square(queries=1000).share(5) == pytest.approx(0.8 / 2), "stretched to the number of queries"


def test_each_query_is_charged_and_no_gradient_is_asked_for() -> None:
    x, y = torch.rand(4, 1, 5, 5), torch.zeros(4, dtype=torch.int64)
    result = run(Square(queries=30), Stubborn(), x, y, ThreatModel("linf", 0.1))
    assert result.forwards.tolist() == [30] * 4
    assert not result.backwards.any()


def test_the_loss_is_the_margin_and_cross_entropy_with_targets() -> None:
    model = linear_model(4, (16,), seed=2)
    x = torch.rand(8, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = model(x).argmax(1)
    threat, goal = ThreatModel("linf", 0.02), ThreatModel("linf", 0.02, targeted=True)
    for loss, own, words in ((Margin(), threat, {}), (CrossEntropy(), goal, {"targets": (y + 1) % 4})):
        given = run(Square(queries=20), model, x, y, own, loss=loss, **words)
        default = run(Square(queries=20), model, x, y, own, **words)
        assert torch.equal(given.trace.nan_to_num(0), default.trace.nan_to_num(0))


def test_given_starts_are_taken() -> None:
    watched = Watched(Square(queries=3))
    x = torch.full((2, 1, 4, 4), 0.5)
    run(watched, Stubborn(), x, torch.zeros(2, dtype=torch.int64), ThreatModel("linf", 0.1), starting_points=x + 0.05)
    torch.testing.assert_close(watched.points[0][0], x + 0.05)


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"queries": 1}, "queries is 1: give at least 2"),
        ({"p_init": 0.0}, r"p_init is 0.0: give a number in \(0, 1\]"),
        ({"p_init": 1.5}, r"in \(0, 1\]"),
        ({"proposals": 0}, "proposals is 0: give at least 1"),
        ({"proposals": 9, "queries": 9}, "proposals is 9: give fewer than queries, 9"),
    ],
)
def test_bad_hyper_parameters_are_refused_with_a_remedy(options: dict[str, Any], remedy: str) -> None:
    with pytest.raises(InvalidInput, match=remedy):
        Square(**options)
