"""Projections against a general-purpose convex solver's answer, found independently by bisection on the multiplier."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from advplug.numerics.projections import PROJECTIONS

seeds = st.integers(0, 2**31)


def _case(seed: int, size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    clean = torch.rand(4, size, generator=generator, dtype=torch.float64)
    clean[0, : size // 2] = clean[0, : size // 2].round()  # saturated values leave no room on one side
    delta = torch.randn(4, size, generator=generator, dtype=torch.float64) * 2
    delta[1, 0] = 0
    delta[2] = delta[2, 0]  # ties
    return delta, -clean, 1 - clean


def _by_bisection(norm: str, delta: torch.Tensor, radius: float, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    """Solve the optimality conditions for one multiplier per row."""

    def point(multiplier: torch.Tensor) -> torch.Tensor:
        if norm == "l2":
            return (delta / (1 + multiplier)).clamp(low, high)
        return (delta.sign() * (delta.abs() - multiplier).clamp(min=0)).clamp(low, high)

    def size(p: torch.Tensor) -> torch.Tensor:
        return p.norm(dim=1, keepdim=True) if norm == "l2" else p.abs().sum(1, keepdim=True)

    small, large = torch.zeros(len(delta), 1).double(), torch.full((len(delta), 1), 1e12).double()
    fits = size(point(small)) <= radius
    for _ in range(200):
        middle = (small + large) / 2
        inside = size(point(middle)) <= radius
        small, large = torch.where(inside, small, middle), torch.where(inside, middle, large)
    return torch.where(fits, point(torch.zeros_like(large)), point(large))


@settings(max_examples=60)
@given(seeds, st.integers(1, 30), st.floats(0, 8), st.sampled_from(["l2", "l1"]))
def test_l2_and_l1_find_the_nearest_point(seed: int, size: int, radius: float, norm: str) -> None:
    delta, low, high = _case(seed, size)
    radii = torch.full((4, 1), radius, dtype=torch.float64)
    found = PROJECTIONS[norm](delta, radii, low, high)
    torch.testing.assert_close(found, _by_bisection(norm, delta, radius, low, high), rtol=1e-7, atol=1e-7)


@settings(max_examples=60)
@given(seeds, st.integers(1, 8), st.integers(0, 8))
def test_l0_beats_every_other_choice_of_places(seed: int, size: int, radius: int) -> None:
    delta, low, high = _case(seed, size)
    found = PROJECTIONS["l0"](delta, torch.full((4, 1), float(radius)), low, high)
    assert ((found != 0).sum(1) <= radius).all()
    assert ((found >= low) & (found <= high)).all()
    clipped = delta.clamp(low, high)
    masks = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * size).reshape(-1, size).double()
    masks = masks[masks.sum(1) <= radius]
    best = (masks[:, None] * clipped - delta).square().sum(2).min(0).values
    torch.testing.assert_close((found - delta).square().sum(1), best)


@settings(max_examples=40)
@given(seeds, st.integers(1, 30), st.floats(0, 3), st.sampled_from(["linf", "l2", "l1", "l0"]))
def test_projecting_twice_changes_nothing(seed: int, size: int, radius: float, norm: str) -> None:
    delta, low, high = _case(seed, size)
    radii = torch.full((4, 1), radius, dtype=torch.float64)
    once = PROJECTIONS[norm](delta, radii, low, high)
    torch.testing.assert_close(PROJECTIONS[norm](once, radii, low, high), once, rtol=1e-9, atol=1e-9)
