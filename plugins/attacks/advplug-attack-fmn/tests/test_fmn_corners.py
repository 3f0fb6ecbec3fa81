"""Pixels at the edge of the bounds, samples that nothing breaks, budgets, and bad hyper-parameters."""

from __future__ import annotations

import pytest
import torch
from advplug_attack_fmn import FMN
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from advplug import ThreatModel, run
from advplug.errors import InvalidInput
from advplug.testing.linear import linear_model
from advplug.threat import Norm

NORMS: tuple[Norm, ...] = ("linf", "l2", "l1", "l0")


@settings(max_examples=20)
@given(st.integers(0, 1000), st.sampled_from(NORMS), st.sampled_from([(0.0, 1.0), (-1.0, 3.0)]))
def test_every_result_is_valid_and_every_success_is_true(seed: int, norm: Norm, bounds: tuple[float, float]) -> None:
    model = linear_model(3, (10,), seed=seed)
    share = torch.rand(4, 10, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x = bounds[0] + (bounds[1] - bounds[0]) * share.round()  # every value at the edge of the bounds
    y = model(x).argmax(1)
    result = run(FMN(steps=15), model, x, y, ThreatModel(norm, bounds=bounds))
    assert result.adversarials.min() >= bounds[0]
    assert result.adversarials.max() <= bounds[1]
    assert (model(result.adversarials[result.success]).argmax(1) != y[result.success]).all()
    assert ((result.adversarials != x).any(1) == result.success).all()


@pytest.mark.parametrize("norm", NORMS)
def test_a_sample_that_nothing_breaks_comes_back_as_it_was(norm: Norm) -> None:
    class Stubborn(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            total = x.flatten(1).sum(1)
            return torch.stack((0 * total + 1, 0.001 * total), 1)

    x = torch.rand(3, 1, 4, 4)
    result = run(FMN(steps=20), Stubborn(), x, torch.zeros(3, dtype=torch.int64), ThreatModel(norm))
    assert not result.success.any()
    assert torch.equal(result.adversarials, x)


@pytest.mark.parametrize("norm", NORMS)
def test_all_logits_negative(norm: Norm) -> None:
    model = linear_model(3, (8,), seed=1)

    class Shifted(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = model(x)
            return logits - 100

    x = torch.rand(8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y, threat = model(x).argmax(1), ThreatModel(norm)
    plain, shifted = run(FMN(steps=40), model, x, y, threat), run(FMN(steps=40), Shifted(), x, y, threat)
    assert torch.equal(plain.success, shifted.success)
    torch.testing.assert_close(plain.distance, shifted.distance, rtol=1e-3, atol=0)  # rounding by the shift


@pytest.mark.parametrize("norm", NORMS)
def test_with_a_budget_a_sample_counts_within_it_only(norm: Norm) -> None:
    model = linear_model(2, (12,), seed=2)
    x = torch.rand(16, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = model(x).argmax(1)
    free = run(FMN(steps=60), model, x, y, ThreatModel(norm))
    budget = free.distance[free.success].median().item()
    bound = run(FMN(steps=60), model, x, y, ThreatModel(norm, budget))
    clear = (free.distance / budget - 1).abs() > 0.01 if norm != "l0" else torch.ones(16, dtype=torch.bool)
    assert torch.equal(bound.success[clear], ((free.distance <= budget) & free.success)[clear])


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"steps": 0}, "steps is 0: give at least 1"),
        ({"step_size": 0.0}, "positive"),
        ({"final_step_size": float("nan")}, "positive"),
        ({"gamma": 1.0}, r"gamma is 1.0: give a number in \(0, 1\)"),
        ({"final_gamma": 0.5}, "final_gamma <= gamma"),
        ({"bisections": -1}, "bisections is -1: give at least 0"),
    ],
)
def test_bad_hyper_parameters_are_refused_with_a_remedy(options: dict[str, float], remedy: str) -> None:
    with pytest.raises(InvalidInput, match=remedy):
        FMN(**options)  # type: ignore[arg-type]
