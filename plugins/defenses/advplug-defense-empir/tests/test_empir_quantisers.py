"""Levels, weights and gradients of the quantisers."""

from __future__ import annotations

import math

import pytest
import torch
from advplug_defense_empir._quantisers import LowPrecisionConv2d, Quantiser, unit_filters
from hypothesis import given, settings
from hypothesis import strategies as st

from advplug.errors import InvalidInput


def _convolution(activation_bits: int = 2, weight_bits: int = 2) -> LowPrecisionConv2d:
    torch.manual_seed(0)
    return LowPrecisionConv2d(3, 4, 5, 1, 2, activation_bits=activation_bits, weight_bits=weight_bits)


@settings(max_examples=60)
@given(st.floats(0, 1, width=32), st.integers(1, 8), st.booleans())
def test_a_value_becomes_its_nearest_level(value: float, bits: int, straight_through: bool) -> None:
    quantiser = Quantiser(bits)
    quantiser.straight_through = straight_through
    steps = 2**bits - 1
    (found,) = quantiser(torch.tensor([value])).tolist()
    levels = (torch.arange(steps + 1) / steps).tolist()
    assert found in levels
    assert abs(found - value) <= min(abs(level - value) for level in levels) + 1e-6


def test_halves_go_to_the_even_neighbour() -> None:
    halves = torch.tensor([0.5, 1.5, 2.5]) / 3
    torch.testing.assert_close(Quantiser(2)(halves), torch.tensor([0.0, 2.0, 2.0]) / 3)


@pytest.mark.parametrize(("straight_through", "slope"), [(True, 1.0), (False, 0.0)])
def test_the_derivative_of_rounding(straight_through: bool, slope: float) -> None:
    quantiser = Quantiser(3)
    quantiser.straight_through = straight_through
    values = torch.rand(20, requires_grad=True)
    (gradient,) = torch.autograd.grad(quantiser(values).sum(), values)
    assert torch.equal(gradient, torch.full((20,), slope))


def test_a_number_of_no_bits_is_refused() -> None:
    with pytest.raises(InvalidInput, match="at least one"):
        Quantiser(0)


@pytest.mark.parametrize("bits", [2, 4])
def test_weights_follow_the_formula(bits: int) -> None:
    layer = _convolution(weight_bits=bits)
    with torch.no_grad():
        layer.weight.mul_(10)
    flat = layer.weight.detach().flatten().tolist()
    largest, steps = max(abs(math.tanh(weight)) for weight in flat), 2**bits - 1
    expected = [2 * round((math.tanh(weight) / largest * 0.5 + 0.5) * steps) / steps - 1 for weight in flat]
    torch.testing.assert_close(layer.quantised_weight().flatten(), torch.tensor(expected))
    assert len(set(expected)) == 2**bits


def test_a_convolution_sees_levels_alone_and_sends_no_gradient_from_outside() -> None:
    layer, x = _convolution(), 3 * torch.rand(2, 3, 8, 8) - 1
    levels = (x.clamp(0, 1) * 3).round() / 3
    torch.testing.assert_close(layer(x), layer(levels))
    assert not torch.allclose(layer(x), layer(x.clamp(0.2, 0.8)))
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(layer(x).square().sum(), x)
    inside = (x > 0) & (x < 1)
    assert (gradient[~inside] == 0).all()
    assert (gradient[inside] != 0).all()


def test_filters_start_with_length_one() -> None:
    layer = _convolution()
    torch.manual_seed(0)
    unit_filters(layer.weight)
    torch.testing.assert_close(layer.weight.flatten(1).norm(dim=1), torch.ones(4))
