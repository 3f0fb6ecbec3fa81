"""Local optimality: worked examples, and what must hold for any distances."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from advplug.errors import InvalidInput
from advplug.evaluation.optimality import local_optimality

distance = st.one_of(st.just(0.0), st.just(math.inf), st.floats(0.01, 10.0))
extra = st.one_of(st.just(0.0), st.just(math.inf), st.floats(0.0, 5.0))
pairs = st.lists(st.tuples(distance, extra, extra), min_size=1, max_size=30)
ends = st.floats(0.5, 20.0)


def tensors(rows: list[tuple[float, float, float]]) -> tuple[Tensor, Tensor, Tensor]:
    """The best, an attack no better, and a third no better than the second."""
    best, first, second = torch.tensor(rows, dtype=torch.float64).T
    return best, best + first, best + first + second


def area_by_steps(distances: Tensor, end: float) -> float:
    """Area under the accuracy curve, step by step."""
    knots = sorted({0.0, end, *(value for value in distances.tolist() if value < end)})
    accuracy = [float((distances > knot).double().mean()) for knot in knots[:-1]]
    return float(np.dot(accuracy, np.diff(knots)))


def test_worked_example() -> None:
    best = torch.tensor([1.0, 2.0, 0.0, 4.0])
    attack = torch.tensor([2.0, 2.0, 0.0, math.inf])
    # areas: best (1 + 2 + 0 + 3) / 4, attack (2 + 2 + 0 + 3) / 4, no attack 3 * 3 / 4
    assert local_optimality(attack, best, 3.0) == pytest.approx(1 - (7 - 6) / (9 - 6))
    # by itself the curve ends at the largest distance of the best, 4
    assert local_optimality(attack, best) == pytest.approx(1 - (8 - 7) / (12 - 7))


def test_an_attack_that_finds_nothing_has_zero() -> None:
    assert local_optimality(torch.full((3,), math.inf), torch.tensor([1.0, 0.5, math.inf]), 2.0) == pytest.approx(0)


def test_samples_wrong_before_the_attack_count_for_nobody() -> None:
    best = torch.tensor([0.0, 1.0])
    assert local_optimality(torch.tensor([math.inf, 1.0]), best, 2.0) == pytest.approx(1)


@given(pairs, ends)
def test_the_best_itself_has_one(rows: list[tuple[float, float, float]], end: float) -> None:
    best, _, _ = tensors(rows)
    value = local_optimality(best, best, end)
    assert value == pytest.approx(1) if bool(((best > 0) & (best < end)).any()) else math.isnan(value)


@given(pairs, ends)
def test_range_and_order(rows: list[tuple[float, float, float]], end: float) -> None:
    """Within [0, 1] below the best, and longer distances never help."""
    best, near, far = tensors(rows)
    values = [local_optimality(distances, best, end) for distances in (best, near, far)]
    if not math.isnan(values[0]):
        assert all(-1e-9 <= value <= 1 + 1e-9 for value in values)
        assert values[0] >= values[1] - 1e-9
        assert values[1] >= values[2] - 1e-9


@given(pairs, ends)
def test_area_is_that_of_the_step_curve(rows: list[tuple[float, float, float]], end: float) -> None:
    best, attack, _ = tensors(rows)
    attack = torch.where(best == 0, 0.0, attack)
    value = local_optimality(attack, best, end)
    if not math.isnan(value):
        most = float((best > 0).double().mean()) * end
        least = area_by_steps(best, end)
        room = most - least
        assert (1 - value) * room == pytest.approx(area_by_steps(attack, end) - least, abs=1e-9)


@pytest.mark.parametrize(
    ("distances", "best", "end"),
    [
        ([], [], 1.0),
        ([1.0], [1.0, 2.0], 1.0),
        ([math.nan], [1.0], 1.0),
        ([-1.0], [1.0], 1.0),
        ([1.0], [1.0], 0.0),
        ([1.0], [1.0], math.inf),
        ([math.inf], [math.inf], None),
        ([0.0], [0.0], None),
    ],
)
def test_bad_input_is_refused(distances: list[float], best: list[float], end: float | None) -> None:
    with pytest.raises(InvalidInput):
        local_optimality(torch.tensor(distances), torch.tensor(best), end)
