"""Gradients that vanish, pixels at the edge of the bounds, samples that nothing breaks, and bad hyper-parameters."""

from __future__ import annotations

import pytest
import torch
from advplug_attack_ddn._ddn import DDN
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from advplug import ThreatModel, run
from advplug.errors import InvalidInput
from advplug.numerics import raw, unit, wrap
from advplug.testing.linear import linear_model

L2 = ThreatModel("l2")


class Flat(nn.Module):
    """Class 1 beyond distance 1 of the grey image, class 0 within: right almost everywhere, gradient nowhere."""

    def forward(self, x: Tensor) -> Tensor:
        far = ((x - 0.5).flatten(1).norm(dim=1) > 1).to(x)
        return torch.stack((1 - far, far), 1) + 0 * x.sum()


def test_a_zero_gradient_is_answered_by_a_random_direction() -> None:
    x, y = torch.full((4, 1, 6, 6), 0.5), torch.zeros(4, dtype=torch.int64)
    result = run(DDN(steps=60), Flat(), x, y, L2)
    assert result.success.all()
    assert (result.distance < 1.1).all()
    assert len(result.adversarials.unique(dim=0)) == 4, "each sample has its own directions"


def test_gradients_too_small_to_be_squared_keep_their_direction() -> None:
    tiny = torch.tensor([[3e-30, 4e-30], [0.0, 0.0]])
    torch.testing.assert_close(raw(unit(wrap(tiny))), torch.tensor([[0.6, 0.8], [0.0, 0.0]]))


@settings(max_examples=15)
@given(st.integers(0, 1000), st.sampled_from([(0.0, 1.0), (-1.0, 3.0)]), st.floats(0.1, 30))
def test_every_result_is_valid_and_every_success_is_true(seed: int, bounds: tuple[float, float], radius: float) -> None:
    model = linear_model(3, (10,), seed=seed)
    share = torch.rand(4, 10, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x = bounds[0] + (bounds[1] - bounds[0]) * share.round()  # every value at the edge of the bounds
    y = model(x).argmax(1)
    result = run(DDN(steps=10, radius=radius), model, x, y, ThreatModel("l2", bounds=bounds))
    assert result.adversarials.min() >= bounds[0]
    assert result.adversarials.max() <= bounds[1]
    assert (model(result.adversarials[result.success]).argmax(1) != y[result.success]).all()


def test_saturated_pixels_move() -> None:
    model = linear_model(2, (16,), seed=3)
    x = (torch.rand(8, 16, generator=torch.Generator().manual_seed(0)) > 0.5).double()
    result = run(DDN(steps=60), model, x, model(x).argmax(1), L2)
    assert result.success.any()
    assert ((result.adversarials != x).any(1) == result.success).all()


def test_a_sample_that_nothing_breaks_comes_back_as_it_was() -> None:
    class Stubborn(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack((x.flatten(1).sum(1) * 0 + 1, x.flatten(1).sum(1) * 0.001), 1)

    x = torch.rand(3, 1, 4, 4)
    result = run(DDN(steps=20), Stubborn(), x, torch.zeros(3, dtype=torch.int64), L2)
    assert not result.success.any()
    assert torch.equal(result.adversarials, x)


def test_all_logits_negative() -> None:
    model = linear_model(2, (8,), seed=1)

    class Shifted(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = model(x)
            return logits - 100

    x = torch.rand(8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = model(x).argmax(1)
    plain, shifted = run(DDN(steps=60), model, x, y, L2), run(DDN(steps=60), Shifted(), x, y, L2)
    assert torch.equal(plain.success, shifted.success)
    torch.testing.assert_close(plain.distance, shifted.distance)


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"steps": 0}, "at least 1"),
        ({"radius": 0.0}, "positive"),
        ({"step_size": float("inf")}, "positive"),
        ({"final_step_size": -1.0}, "positive"),
        ({"gamma": 1.0}, r"in \(0, 1\)"),
        ({"levels": 1}, "at least 2, or None"),
    ],
)
def test_bad_hyper_parameters_are_refused_with_a_remedy(options: dict[str, float], remedy: str) -> None:
    with pytest.raises(InvalidInput, match=remedy):
        DDN(**options)  # type: ignore[arg-type]
