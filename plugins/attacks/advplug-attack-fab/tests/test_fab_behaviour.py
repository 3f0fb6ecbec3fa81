"""What FAB does: its final search, its random starts, budgets, errors, and where torchattacks falls short."""

from __future__ import annotations

import pytest
import torch
from advplug_attack_fab._fab import FAB, RADIUS
from torch import Tensor, nn

from advplug import ThreatModel, run
from advplug.errors import InvalidInput
from advplug.losses import Margin
from advplug.numerics import norms
from advplug.testing.linear import linear_model
from advplug.threat import Norm


class Ring(nn.Module):
    """Class 1 outside a circle around the middle of the unit square."""

    def __init__(self, radius: float, scale: float = 1.0, shift: float = 0.0) -> None:
        super().__init__()
        self.radius, self.scale, self.shift = radius, scale, shift

    def forward(self, x: Tensor) -> Tensor:
        out = ((x - self.shift) / self.scale - 0.5).square().sum(1) - self.radius**2
        return torch.stack((-out, out), 1)


class Spy(Ring):
    """A ring that keeps the points at which gradients are taken."""

    def __init__(self, radius: float) -> None:
        super().__init__(radius)
        self.starts: list[Tensor] = []

    def forward(self, points: Tensor) -> Tensor:
        if points.requires_grad:
            self.starts.append(points.detach().clone())
        return super().forward(points)


def ring_points(count: int = 16) -> tuple[Tensor, Tensor]:
    """Points near the middle, float64 (count, 2), and their labels."""
    x = 0.5 + 0.1 * (torch.rand(count, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 0.5)
    return x, torch.zeros(count, dtype=torch.int64)


def test_finds_the_nearest_point_of_a_curved_boundary() -> None:
    x, y = ring_points()
    result = run(FAB(), Ring(0.3), x, y, ThreatModel("l2"))
    nearest = 0.3 - (x - 0.5).norm(dim=1)
    assert (result.distance <= 1.02 * nearest).all()
    assert (result.distance >= 0.999 * nearest).all()


def test_the_final_search_costs_five_forward_passes_and_never_loses() -> None:
    x, y = ring_points()
    for norm in ("linf", "l2", "l1"):
        with_search, without = (
            run(FAB(steps=3, bisections=count), Ring(0.3), x, y, ThreatModel(norm))  # type: ignore[arg-type]
            for count in (3, 0)
        )
        assert (with_search.distance <= without.distance).all()
        assert (with_search.forwards == without.forwards + 5).all()


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_other_bounds_are_the_same_problem_scaled(norm: Norm) -> None:
    """torchattacks' FAB knows [0, 1] alone; restarts too must scale with the bounds."""
    x, y = ring_points()
    unit = run(FAB(steps=15), Ring(0.3), x, y, ThreatModel(norm), restarts=2)
    wide = run(FAB(steps=15), Ring(0.3, 4.0, -1.0), 4 * x - 1, y, ThreatModel(norm, bounds=(-1.0, 3.0)), restarts=2)
    torch.testing.assert_close(wide.distance, 4 * unit.distance, rtol=1e-3, atol=0)


def test_random_starts_differ_by_restart_and_stay_within_half_the_best_distance() -> None:
    x, y = ring_points(4)
    for norm in ("linf", "l2", "l1"):
        spy = Spy(0.3)
        attack = FAB(steps=1, bisections=0)
        run(attack, spy, x, y, ThreatModel(norm), restarts=3)  # type: ignore[arg-type]
        first, second, third = spy.starts
        assert torch.equal(first, x)
        assert not torch.equal(second, third)
        best = run(attack, Ring(0.3), x, y, ThreatModel(norm)).distance  # type: ignore[arg-type]
        torch.testing.assert_close(norms(second - x, norm), best.clamp_max(RADIUS[norm]) / 2, rtol=1e-6, atol=0)


def test_random_starts_of_unbroken_samples_have_the_radius_or_the_budget() -> None:
    x, y = ring_points(4)
    for threat, attack, expected in (
        (ThreatModel("l2"), FAB(steps=1, radius=0.2), 0.1),
        (ThreatModel("l2", 0.05), FAB(steps=1), 0.025),
        (ThreatModel("l2", 0.05), FAB(steps=1, radius=0.02), 0.01),
        (ThreatModel("linf"), FAB(steps=1), 0.15),
    ):
        spy = Spy(2.0)
        run(attack, spy, x, y, threat, restarts=2)  # no point of the square is out of the ring
        torch.testing.assert_close(norms(spy.starts[1] - x, threat.norm), torch.full((4,), expected).double())


def test_a_budget_ends_a_sample_at_its_first_success_within_it() -> None:
    x, y = ring_points()
    free = run(FAB(steps=20), Ring(0.3), x, y, ThreatModel("l2"))
    budget = float(free.distance.median()) * 1.01
    result = run(FAB(steps=20), Ring(0.3), x, y, ThreatModel("l2", budget))
    assert torch.equal(result.success, free.distance <= budget)
    assert (result.forwards[result.success] < result.forwards.max()).all()


def test_gives_back_the_input_where_nothing_helps_and_breaks_the_others() -> None:
    """The points far from the boundary stay; those near it are found in the same batch."""
    x, y = ring_points()
    model = linear_model(2, (2,))
    labels = model(x).argmax(1)
    torch.testing.assert_close(run(FAB(steps=5), Ring(2.0), x, y, ThreatModel("l2")).adversarials, x)
    assert run(FAB(steps=5), model, x, labels, ThreatModel("l2")).success.any()


def test_l1_restarts_work_where_torchattacks_fails() -> None:
    torchattacks = pytest.importorskip("torchattacks")
    model = linear_model(3, (1, 2, 2), dtype=torch.float32)
    x = torch.rand(4, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    y = model(x).argmax(1)
    with pytest.raises(UnboundLocalError):
        torchattacks.FAB(model, norm="L1", steps=2)(x, y)
    assert run(FAB(steps=2), model, x, y, ThreatModel("l1"), restarts=2).success.any()


def test_a_loss_of_one_value_is_one_boundary() -> None:
    x, y = ring_points()
    result = run(FAB(steps=20), Ring(0.3), x, y, ThreatModel("l2"), loss=Margin())
    usual = run(FAB(steps=20), Ring(0.3), x, y, ThreatModel("l2"))
    torch.testing.assert_close(result.distance, usual.distance)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps is 0: give at least 1"),
        ({"bisections": -1}, "bisections is -1: give at least 0"),
        ({"alpha_max": 1.5}, r"alpha_max is 1.5: give a number in \[0, 1\]"),
        ({"beta": 1.0}, r"beta is 1.0: give a number in \(0, 1\)"),
        ({"extrapolation": 0.9}, "extrapolation is 0.9: give at least 1"),
        ({"radius": -1.0}, "positive"),
    ],
)
def test_bad_options_say_what_to_change(options: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        FAB(**options)  # type: ignore[arg-type]
