"""Directions have length 1 in every dtype, and what has no direction stays zero."""

from __future__ import annotations

import pytest
import torch

from advplug.numerics import raw, unit, wrap

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("norm", "length"), [("l2", 5.0), ("l1", 7.0), ("linf", 4.0)])
def test_each_row_has_length_one_and_zero_stays_zero(dtype: torch.dtype, norm: str, length: float) -> None:
    rows = torch.tensor([[3.0, -4.0], [0.0, 0.0]], dtype=dtype)
    expected = torch.tensor([[3.0, -4.0], [0.0, 0.0]], dtype=dtype) / length
    torch.testing.assert_close(raw(unit(wrap(rows), norm)), expected)


def test_the_squares_of_small_values_do_not_vanish() -> None:
    small = torch.tensor([[3e-30, -4e-30]])
    torch.testing.assert_close(raw(unit(wrap(small))), torch.tensor([[0.6, -0.8]]))
