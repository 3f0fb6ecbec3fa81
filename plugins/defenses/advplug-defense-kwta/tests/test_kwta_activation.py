"""kWTA against a reference that sorts each image by itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from advplug_defense_kwta._activation import KWinners, activation
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from advplug.errors import InvalidInput

# Halves of small integers, so that ties are common.
LAYERS = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=5),
    elements=st.integers(-6, 6).map(lambda value: value / 2),
)
GAMMAS = st.floats(0.01, 1.0)


def reference(layer: np.ndarray, gamma: float) -> np.ndarray:
    result = np.zeros_like(layer)
    for image, kept in zip(layer, result, strict=True):
        count = max(1, int(gamma * image.size))
        threshold = sorted(image.flat, reverse=True)[count - 1]
        for place in np.ndindex(image.shape):
            if image[place] >= threshold:
                kept[place] = image[place]
    return result


@given(LAYERS, GAMMAS)
def test_equals_the_reference(layer: np.ndarray, gamma: float) -> None:
    assert np.array_equal(KWinners(gamma)(torch.from_numpy(layer)).numpy(), reference(layer, gamma))


@given(LAYERS, GAMMAS)
def test_gradient_reaches_the_winners_only(layer: np.ndarray, gamma: float) -> None:
    x = torch.from_numpy(layer).requires_grad_()
    KWinners(gamma)(x).sum().backward()
    assert x.grad is not None
    flat, gradient = x.detach().flatten(1), x.grad.flatten(1)
    count = max(1, int(gamma * flat.shape[1]))
    threshold = flat.sort(1, descending=True).values[:, count - 1 : count]
    assert torch.equal(gradient, (flat >= threshold).float())


@given(LAYERS, GAMMAS)
def test_images_do_not_compete_with_each_other(layer: np.ndarray, gamma: float) -> None:
    x = torch.from_numpy(layer)
    together = KWinners(gamma)(x)
    alone = torch.cat([KWinners(gamma)(image[None]) for image in x])
    assert torch.equal(together, alone)


@pytest.mark.parametrize("shape", [(4, 30), (4, 3, 5, 2)])
@pytest.mark.parametrize(("gamma", "count"), [(0.1, 3), (0.01, 1), (0.5, 15), (1.0, 30)])
def test_count_of_winners(shape: tuple[int, ...], gamma: float, count: int) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    assert (KWinners(gamma)(x).flatten(1) != 0).sum(1).tolist() == [count] * 4


def test_ties_all_stay() -> None:
    x = torch.tensor([[1.0, 2.0, 2.0, 2.0, 3.0, -1.0]])
    assert KWinners(2 / 6)(x).tolist() == [[0, 2, 2, 2, 3, 0]]


def test_negative_winners_stay() -> None:
    assert KWinners(0.5)(torch.tensor([[-1.0, -2.0, -3.0, -4.0]])).tolist() == [[-1, -2, 0, 0]]


def test_jumps() -> None:
    layer = KWinners(0.5)
    before, after = layer(torch.tensor([[1.0, 0.999]])), layer(torch.tensor([[1.0, 1.001]]))
    assert (before - after).abs().max() > 0.9


def test_half_precision_and_extra_repr() -> None:
    assert KWinners(0.5)(torch.ones(1, 4, dtype=torch.float16)).dtype == torch.float16
    assert "gamma=0.5" in repr(KWinners(0.5))


@pytest.mark.parametrize("gamma", [0.0, -0.1, 1.1, float("nan")])
def test_refuses_gamma(gamma: float) -> None:
    with pytest.raises(InvalidInput, match="gamma"):
        KWinners(gamma)


def test_control_is_relu() -> None:
    assert isinstance(activation(None), torch.nn.ReLU)
    assert isinstance(activation(0.1), KWinners)
