"""The transform, the thresholds and the recovery of images that are sparse."""

from __future__ import annotations

import pytest
import torch
from advplug_defense_sparse_fourier._recovery import IterativeHardThresholding, Sparsity, cosine_basis, largest
from torch import Tensor

from advplug.errors import InvalidInput


def _recovery(cosines: int = 6, pixels: int = 4, iterations: int = 30, side: int = 16) -> IterativeHardThresholding:
    return IterativeHardThresholding(side, Sparsity(cosines, pixels, iterations)).double()


def _smooth(count: int = 5, side: int = 16) -> Tensor:
    """Images (count, 2, side, side) of four cosines of low frequency."""
    coefficients = torch.zeros(count, 2, side, side, dtype=torch.float64)
    coefficients[:, :, :2, :2] = 1 + torch.rand(count, 2, 2, 2, generator=torch.Generator().manual_seed(0))
    basis = cosine_basis(side).double()
    return basis.T @ coefficients @ basis


def _spoilt(x: Tensor, pixels: int) -> Tensor:
    """``x`` with so many values of each channel far off."""
    generator = torch.Generator().manual_seed(1)
    places = torch.rand(x.flatten(2).shape, generator=generator).argsort(2)[:, :, :pixels]
    return x + torch.zeros_like(x.flatten(2)).scatter(2, places, 5.0).view_as(x)


def test_the_transform_is_scipys() -> None:
    fft = pytest.importorskip("scipy.fft")
    x = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0)).double()
    basis = cosine_basis(28).double()
    expected = torch.from_numpy(fft.dctn(x.numpy(), axes=(2, 3), norm="ortho"))
    torch.testing.assert_close(basis @ x @ basis.T, expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(basis @ basis.T, torch.eye(28).double(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("count", [0, 1, 5, 16])
def test_the_largest_values_of_each_channel_are_kept(count: int) -> None:
    x = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    kept = largest(x, count)
    assert ((kept != 0).flatten(2).sum(2) == count).all()
    assert torch.equal(kept[kept != 0], x[kept != 0])
    for channel, before in zip(kept.flatten(0, 1), x.flatten(0, 1), strict=True):
        lost = before[channel == 0].abs()
        assert not count or not len(lost) or lost.max() <= channel[channel != 0].abs().min()


def test_few_wrong_pixels_of_a_sparse_image_are_removed() -> None:
    clean = _smooth()
    spoilt = _spoilt(clean, 4)
    recovery = _recovery()
    torch.testing.assert_close(recovery(clean), clean, atol=1e-5, rtol=0)
    image, changed = recovery.separated(spoilt)
    torch.testing.assert_close(image, clean, atol=1e-3, rtol=0)
    torch.testing.assert_close(changed, spoilt - clean, atol=1e-3, rtol=0)
    assert torch.equal(recovery(spoilt), image)
    assert (recovery.compressed(spoilt) - clean).abs().max() > 0.1  # the compression alone keeps part of them
    assert (recovery(_spoilt(clean, 60)) - clean).abs().max() > 0.1  # and many are too many


def test_what_passes_has_few_cosines() -> None:
    recovery, x = _recovery(), torch.rand(3, 2, 16, 16, generator=torch.Generator().manual_seed(0)).double()
    basis = recovery.basis
    for image in (recovery(x), recovery.compressed(x)):
        assert ((basis @ image @ basis.T).abs() > 1e-6).flatten(2).sum(2).max() <= 6


def test_the_derivative_is_that_of_the_function() -> None:
    recovery = _recovery(iterations=3, side=6)
    x = torch.rand(1, 1, 6, 6, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    assert torch.autograd.gradcheck(recovery, (x,), eps=1e-7, atol=1e-5)


@pytest.mark.parametrize("sparsity", [Sparsity(0, 1, 1), Sparsity(37, 1, 1), Sparsity(1, -1, 1), Sparsity(1, 1, 0)])
def test_impossible_numbers_are_refused(sparsity: Sparsity) -> None:
    with pytest.raises(InvalidInput, match="36 cosines and pixels"):
        IterativeHardThresholding(6, sparsity)
