"""The table of deep margin maximisation: what counts as nearest, and what it calls gradient masking."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

pytest.importorskip("matplotlib")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

import margin_maximization

from advplug.metrics import Mean


def measured(deepfool: float, nearest: float) -> Any:
    return SimpleNamespace(deepfool=Mean(deepfool, 9, 9), nearest=Mean(nearest, 9, 9))


@pytest.mark.parametrize(
    ("deepfool", "nearest", "said"),
    [
        (0.135, 0.11, "1.35, 1.10, gradient masking"),
        (0.4, 0.2, "4.00, 2.00, gradient masking"),
        (0.2, 0.19, "2.00, 1.90"),
        (0.11, 0.1, "1.10, 1.00"),
    ],
)
def test_masking_is_a_distance_by_deepfool_alone(deepfool: float, nearest: float, said: str) -> None:
    assert margin_maximization.gain(measured(deepfool, nearest), measured(0.1, 0.1)) == said


def test_a_control_is_judged_by_its_own_distances() -> None:
    assert margin_maximization.gain(measured(0.2, 0.1), None) == "gradient masking"
    assert margin_maximization.gain(measured(0.1, 0.09), None) == ""


def test_the_nearest_point_of_all_attacks_counts() -> None:
    found = ([1.0, torch.nan, torch.nan], [2.0, 3.0, torch.nan])
    results: Any = [SimpleNamespace(distance=torch.tensor(one, dtype=torch.float64)) for one in found]
    distances = margin_maximization.least(results)
    assert distances.tolist() == [1, 3, torch.inf]
    inputs = torch.ones(3, 1, 2, 2)  # each of length 2
    shares = margin_maximization.relative(distances, torch.tensor([True, True, True]), inputs)
    assert shares == Mean(1.0, 2, 3)
    assert margin_maximization.counted(shares) == "1.000 (2 of 3)"
