"""Each transformation against its formula, a library or a picture drawn by hand."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
import torch
from advplug_defense_input_transformations import (
    JPEG,
    BitDepth,
    CropRescale,
    Median,
    NonLocalMeans,
    Quilting,
    ResizePad,
    TotalVariation,
    Transformation,
)
from advplug_defense_input_transformations._patches import drawn, shipped
from advplug_defense_input_transformations._total_variation import _adjoint, _differences
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from advplug import load
from advplug.errors import InvalidInput


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def digits() -> Tensor:
    inputs: Tensor = load("data:mnist")().load("shipped", 6).inputs
    return inputs


@pytest.fixture(scope="module")
def colours() -> Tensor:
    """Smooth pictures with an edge."""
    coarse = torch.rand(3, 3, 4, 4, generator=seeded())
    pictures = F.interpolate(coarse, (32, 32), mode="bilinear")
    pictures[..., 16:] = 1 - pictures[..., 16:]
    return pictures


def every(channels: int) -> list[Transformation]:
    patches = torch.rand(40, channels, 4, 4, generator=seeded())
    some = [BitDepth(3), JPEG(75), CropRescale(24), ResizePad(22), Median(3), NonLocalMeans(), TotalVariation()]
    return [*some, Quilting(patches)]


@pytest.mark.parametrize("channels", [1, 3])
def test_images_keep_shape_range_and_type(channels: int) -> None:
    x = torch.rand(2, channels, 28, 28, generator=seeded(), dtype=torch.float64)
    for one in every(channels):
        torch.manual_seed(0)
        found = one(x)
        assert found.shape == x.shape, one
        assert found.dtype == x.dtype, one
        assert 0 <= found.min() <= found.max() <= 1, one
        torch.manual_seed(0)
        torch.testing.assert_close(one.surrogate(x), found, msg=str(one))
        assert one(x[:0]).shape == x[:0].shape, one


def test_randomness_is_declared_and_belongs_to_each_image() -> None:
    x = torch.rand(1, 1, 28, 28, generator=seeded()).expand(2, 1, 28, 28)
    for one in every(1):
        first, second = one(x, seeded(3))
        assert one.random != bool(torch.equal(first, second)), one
        assert torch.equal(one(x, seeded(3))[0], first), one


def test_exact_gradients_are_zero_or_absent_where_a_stand_in_is_needed() -> None:
    x = torch.rand(2, 1, 28, 28, generator=seeded()).requires_grad_()
    for one in every(1):
        scores = one(x).square().sum()
        exact = torch.autograd.grad(scores, x)[0].abs().sum() if scores.requires_grad else torch.zeros(())
        assert bool(exact > 0) == one.differentiable, one
        (passed,) = torch.autograd.grad(one.surrogate(x).square().sum(), x)
        assert passed.abs().sum() > 0, one


def test_bit_depth_rounds_to_both_ends() -> None:
    x = torch.tensor([0.0, 0.1, 0.24, 0.26, 0.49, 0.51, 1.0])
    torch.testing.assert_close(BitDepth(2)(x), torch.tensor([0, 0, 1, 1, 1, 2, 3]) / 3)
    assert BitDepth(1)(x).tolist() == [0, 0, 0, 0, 0, 1, 1]
    assert torch.equal(BitDepth(8)(torch.arange(256) / 255), torch.arange(256) / 255)


def test_jpeg_is_pillows(colours: Tensor) -> None:
    pixels = (255 * colours[0]).round().byte().permute(1, 2, 0).numpy()
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=50)
    expected = np.asarray(Image.open(stream))
    assert np.array_equal((255 * JPEG(50)(colours)[0]).round().permute(1, 2, 0).numpy(), expected)


def test_the_soft_jpeg_is_near_the_hard_one(digits: Tensor, colours: Tensor) -> None:
    for x in (digits, colours):
        for quality in (25, 75):
            hard, soft = JPEG(quality)(x), JPEG(quality).smooth(x)
            assert (soft - hard).abs().mean() < 0.02
            fine = x + 0.01 * (torch.arange(x.shape[3]) % 2)  # stripes that a coarse table removes
            assert (JPEG(quality).smooth(fine) - soft).abs().mean() < 0.008


def test_medians_are_those_of_scipy(colours: Tensor) -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    for side in (2, 3, 4, 5):
        expected = ndimage.median_filter(colours.numpy(), size=(1, 1, side, side), mode="reflect")
        np.testing.assert_array_equal(Median(side)(colours).numpy(), expected)


def test_non_local_means_keep_flat_images_and_remove_noise(colours: Tensor) -> None:
    flat = torch.full((1, 1, 12, 12), 0.3)
    torch.testing.assert_close(NonLocalMeans()(flat), flat)
    noisy = (colours + 0.05 * torch.randn(colours.shape, generator=seeded())).clamp(0, 1)
    found = NonLocalMeans(strength=16.0)(noisy)
    assert (found - colours).square().mean() < 0.6 * (noisy - colours).square().mean()


def test_crops_are_resized_parts_of_the_image(digits: Tensor) -> None:
    assert torch.allclose(CropRescale(28)(digits), digits, atol=1e-6)
    for number, found in enumerate(CropRescale(24)(digits, seeded())):
        image = digits[number : number + 1]
        parts = [image[:, :, top : top + 24, left : left + 24] for top in range(5) for left in range(5)]
        possible = F.interpolate(torch.cat(parts), (28, 28), mode="bilinear", align_corners=False)
        assert (possible - found).abs().amax((1, 2, 3)).min() < 1e-5


def test_padding_puts_a_resized_image_somewhere(digits: Tensor) -> None:
    assert torch.allclose(ResizePad(28)(digits), digits, atol=1e-5)
    found = ResizePad(20, 20)(digits, seeded())
    expected = F.interpolate(digits, (20, 20), mode="bilinear", align_corners=False)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    white = ResizePad(10, 14)(torch.ones(50, 1, 12, 12), seeded())
    sides = white.amax(3).sum(2).squeeze(1)
    assert set(sides.tolist()) == {10.0, 11.0, 12.0, 13.0, 14.0}
    assert torch.equal(white.sum((1, 2, 3)), sides**2), "ones stay ones up to the edge of the resized image"


def test_total_variation_falls_and_kept_pixels_stay_near(colours: Tensor) -> None:
    noisy = (colours + 0.1 * torch.randn(colours.shape, generator=seeded())).clamp(0, 1)
    mask = (torch.rand(3, 1, 32, 32, generator=seeded()) < 0.5).to(noisy)
    found = TotalVariation().rebuilt(noisy, mask)
    assert _differences(found).abs().sum() < 0.8 * _differences(noisy).abs().sum()
    assert ((found - noisy) * mask).abs().mean() < 0.05
    # With next to no weight and every pixel kept, the minimiser is the image.
    exact = TotalVariation(weight=1e-4, keep=1.0, tolerance=1e-7)(noisy)
    assert (exact - noisy).abs().max() < 0.01
    assert torch.equal(TotalVariation().rebuilt(noisy[:1], mask[:1]), found[:1]), "images do not mix"


def test_total_variation_finds_the_minimum_of_a_convex_problem() -> None:
    """No small change of the result makes the objective smaller."""
    x = torch.rand(1, 1, 6, 6, generator=seeded(), dtype=torch.float64)
    solver = TotalVariation(weight=0.2, sweeps=3000, tolerance=1e-9)
    found = solver.rebuilt(x, torch.ones_like(x))

    def objective(z: Tensor) -> float:
        return float((z - x).square().sum() + 0.2 * _differences(z).abs().sum())

    least = objective(found)
    for seed in range(20):
        assert objective(found + 1e-2 * torch.randn(x.shape, generator=seeded(seed), dtype=x.dtype)) > least - 1e-6
    assert objective(x) > least + 0.05


def test_adjoint_of_differences() -> None:
    z, fields = torch.randn(1, 2, 5, 7, generator=seeded()), torch.randn(2, 1, 2, 5, 7, generator=seeded(1))
    fields[0, ..., -1, :] = fields[1, ..., :, -1] = 0
    torch.testing.assert_close((_differences(z) * fields).sum(), (z * _adjoint(fields)).sum())


def test_quilts_consist_of_patches_of_the_database(colours: Tensor) -> None:
    patches = drawn(colours, 5, 300).float() / 255
    quilt = Quilting(patches, overlap=0, seams=False, neighbours=3)(colours[..., :30, :30], seeded())
    found = F.unfold(quilt, 5, stride=5).transpose(1, 2).reshape(-1, 1, 75)
    assert (found - patches.flatten(1)).abs().amax(2).min(1).values.max() == 0


def test_quilting_with_its_own_patches_gives_the_image_back(colours: Tensor) -> None:
    own = F.unfold(colours[:1], 5, stride=3).squeeze(0).T.view(-1, 3, 5, 5)
    quilting = Quilting(own, neighbours=1)
    assert not quilting.random
    torch.testing.assert_close(quilting(colours[:1]), colours[:1])


def test_the_shipped_patches_are_those_of_digits_that_are_judged_nowhere() -> None:
    others = load("data:mnist")().load("shipped", 9000).inputs[8000:]
    assert torch.equal(shipped("mnist"), drawn(others, 4, 5000).float() / 255)
    assert shipped("cifar10").shape == (5000, 3, 5, 5)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: BitDepth(0), "bits is 0"),
        (lambda: JPEG(0), "quality is 0"),
        (lambda: JPEG()(torch.rand(1, 2, 8, 8)), "N, 3, H, W"),
        (lambda: CropRescale(30)(torch.rand(1, 1, 28, 28)), "at most 28"),
        (lambda: CropRescale(3)(torch.rand(1, 1, 4, 5)), "square"),
        (lambda: ResizePad(30)(torch.rand(1, 1, 28, 28)), "at most the side"),
        (lambda: TotalVariation(keep=0.0), "keep is 0.0"),
        (lambda: Quilting(torch.rand(5, 1, 4, 4)), "at least 10"),
        (lambda: Quilting(torch.rand(50, 1, 4, 4), overlap=4), "overlap is 4"),
        (lambda: Quilting(torch.rand(50, 1, 4, 4))(torch.rand(1, 1, 9, 9)), "multiple of 2"),
    ],
)
def test_wrong_settings_and_images_are_refused(make: object, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        make()  # type: ignore[operator]
