"""The attacks on linear models, where the least distance is known."""

from __future__ import annotations

import pytest
from advplug_attack_decision import Boundary, GeoDA, HopSkipJump, RayS, SignOPT

from advplug.attack import Attack
from advplug.testing.linear import distance_over_optimum
from advplug.threat import Norm

NEAR: list[tuple[type[Attack], Norm, float]] = [
    (Boundary, "l2", 1.02),
    (GeoDA, "l2", 1.10),
    (GeoDA, "linf", 1.15),
    (GeoDA, "l1", 1.15),
    (HopSkipJump, "l2", 1.10),
    (HopSkipJump, "linf", 1.15),
    (RayS, "linf", 1.10),
    (SignOPT, "l2", 1.20),
    (SignOPT, "linf", 1.40),
]
"""How near each comes with 1,000 queries on 24 values, as a multiple of the least distance."""


@pytest.mark.parametrize(("kind", "norm", "most"), NEAR)
@pytest.mark.parametrize(
    ("bounds", "targeted"), [((0.0, 1.0), False), ((-1.0, 3.0), False), ((0.0, 1.0), True)], ids=str
)
def test_comes_near_the_least_distance(
    kind: type[Attack], norm: Norm, most: float, *, bounds: tuple[float, float], targeted: bool
) -> None:
    ratio = distance_over_optimum(kind(queries=1000), norm, bounds=bounds, batch=4, targeted=targeted)  # type: ignore[call-arg]
    assert ratio.max() <= most, ratio
    assert ratio.min() >= 1 - 1e-6


@pytest.mark.parametrize(("kind", "norm", "most"), NEAR)
def test_finds_the_way_among_several_classes(kind: type[Attack], norm: Norm, most: float) -> None:
    """It may end at the boundary of another class than the nearest."""
    ratio = distance_over_optimum(kind(queries=1000), norm, classes=5)  # type: ignore[call-arg]
    assert ratio.median() <= most
    assert ratio.max() <= 1.6
