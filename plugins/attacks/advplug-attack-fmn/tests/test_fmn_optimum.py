"""On a linear model the least distance is known: FMN must come close, whatever the bounds, the batch and the goal."""

from __future__ import annotations

import pytest
from advplug_attack_fmn import FMN

from advplug.testing.linear import distance_over_optimum
from advplug.threat import Norm

CLOSE = {"linf": 1.05, "l2": 1.05, "l1": 1.05, "l0": 1.0}


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 3.0)])
@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("norm", CLOSE)
def test_two_classes(norm: Norm, targeted: bool, batch: int, bounds: tuple[float, float]) -> None:
    ratio = distance_over_optimum(FMN(steps=60), norm, bounds=bounds, batch=batch, targeted=targeted)
    assert ratio.max() <= CLOSE[norm]


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 3.0)])
@pytest.mark.parametrize("norm", CLOSE)
def test_each_of_five_classes_in_turn(norm: Norm, bounds: tuple[float, float]) -> None:
    ratio = distance_over_optimum(FMN(steps=60), norm, bounds=bounds, classes=5, targeted=True)
    assert ratio.max() <= CLOSE[norm]


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 3.0)])
@pytest.mark.parametrize("norm", CLOSE)
def test_the_likeliest_of_five_classes_is_always_reached(norm: Norm, bounds: tuple[float, float]) -> None:
    """The nearest class need not be the likeliest, so that only most samples end at the least distance."""
    ratio = distance_over_optimum(FMN(steps=60), norm, bounds=bounds, classes=5)
    assert ratio.isfinite().all()
    assert (ratio <= CLOSE[norm]).sum() >= 7
