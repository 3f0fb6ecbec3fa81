"""Inputs in the range that a model takes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from advplug.data import Images
from advplug.errors import InvalidInput
from advplug.intake.value_range import in_range, span

PIXELS = Images(torch.tensor([[0.0, 0.5], [0.25, 1.0]]), torch.tensor([0, 1]))
VALUES = Images(torch.tensor([[0.0, 5.0], [-3.0, 1.0]]), torch.tensor([0, 1]), pixels=False)


def test_pixels_are_rescaled_and_bytes_stay_whole_numbers() -> None:
    assert in_range(PIXELS, (-1, 3), "x").inputs.tolist() == [[-1, 1], [0, 3]]
    assert torch.equal(in_range(PIXELS, (0, 1), "x").inputs, PIXELS.inputs)
    whole = torch.arange(256).float()[:, None]
    assert torch.equal(in_range(Images(whole / 255, torch.zeros(256)), (0, 255), "x").inputs, whole)


def test_other_values_are_taken_as_they_are() -> None:
    assert torch.equal(in_range(VALUES, (-3, 5), "x").inputs, VALUES.inputs)
    arrays = np.array([-3.0, 1.0]), np.array([0.0, 5.0])
    assert torch.equal(in_range(VALUES, arrays, "x").inputs, VALUES.inputs)
    assert span(arrays) == (-3, 5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nothing_lies_outside_after_rounding(dtype: torch.dtype) -> None:
    """-0.3 and 0.1 round outwards in float32."""
    for images in (PIXELS, Images(torch.tensor([[-0.3, 0.1]], dtype=dtype), torch.tensor([0]), pixels=False)):
        found = in_range(Images(images.inputs.to(dtype), images.labels, pixels=images.pixels), (-0.3, 0.1), "x").inputs
        assert found.dtype == dtype
        assert -0.3 <= float(found.min()) < -0.2999999
        assert 0.0999999 < float(found.max()) <= 0.1


def test_what_lies_outside_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"x ranges over \[-3, 5\], outside the bounds \[0, 5\]: rescale it$"):
        in_range(VALUES, (0, 5), "mine")
    with pytest.raises(
        InvalidInput, match=r"mine: x\[1, 0\] is -3, outside its bounds \[-1, 0\]: correct it, or --bounds"
    ):
        in_range(VALUES, (np.array([-1.0, 0.0]), np.array([0.0, 5.0])), "mine", option="--bounds")
    with pytest.raises(InvalidInput, match=r"have shape \(3,\), an input of mine has \(2,\)"):
        in_range(VALUES, (np.zeros(3), np.ones(3)), "mine")
    with pytest.raises(InvalidInput, match=r"pixels outside \[0, 1\]"):
        in_range(Images(VALUES.inputs, VALUES.labels), (0, 1), "plugin")
