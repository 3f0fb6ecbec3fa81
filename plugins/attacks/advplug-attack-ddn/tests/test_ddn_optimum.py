"""On a linear model the least distance is known: DDN must come close, whatever the bounds, the batch and the goal."""

from __future__ import annotations

import pytest
from advplug_attack_ddn._ddn import DDN

from advplug.losses import Margin
from advplug.testing.linear import distance_over_optimum


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 3.0)])
@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("targeted", [False, True])
def test_two_classes(bounds: tuple[float, float], batch: int, targeted: bool) -> None:
    ratio = distance_over_optimum(DDN(steps=100), "l2", bounds=bounds, batch=batch, targeted=targeted)
    assert ratio.max() <= 1.05


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 3.0)])
def test_each_of_five_classes_in_turn(bounds: tuple[float, float]) -> None:
    """The margin: cross-entropy is least a little beside the nearest point where several classes are close."""
    ratio = distance_over_optimum(DDN(steps=200), "l2", bounds=bounds, classes=5, targeted=True, loss=Margin())
    assert ratio.max() <= 1.05
