"""The high-confidence attack: closed forms on linear models, its target, what it must not do."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from advplug_attack_high_confidence._high_confidence import HighConfidence
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from advplug.api import AttackResult, run
from advplug.errors import InvalidInput
from advplug.model import PlainModel
from advplug.testing.linear import distance_over_optimum, least_distance, linear_model
from advplug.threat import Norm, ThreatModel

BOUNDS = [(0.0, 1.0), (-1.0, 3.0)]
NORMS: list[Norm] = ["l2", "linf"]


def samples(model: nn.Module, count: int, bounds: tuple[float, float] = (0.0, 1.0), size: int = 24) -> Any:
    share = torch.rand(count, size, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    x = bounds[0] + (bounds[1] - bounds[0]) * share
    return x, model(x).argmax(1)


def probabilities(model: nn.Module, result: AttackResult) -> Tensor:
    with torch.no_grad():
        return model(result.adversarials).softmax(1)


@pytest.mark.parametrize(("batch", "targeted"), [(1, False), (8, False), (8, True)])
@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("norm", NORMS)
def test_confidence_one_half_of_two_classes_is_the_boundary(
    norm: Norm, bounds: tuple[float, float], batch: int, targeted: bool
) -> None:
    ratio = distance_over_optimum(HighConfidence(confidence=0.5), norm, bounds=bounds, batch=batch, targeted=targeted)
    assert ratio.max() <= 1.05


@pytest.mark.parametrize("confidence", [0.6, 0.9, 0.999, "clean"])
@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("norm", NORMS)
def test_the_confidence_of_two_classes_has_a_closed_form(
    norm: Norm, bounds: tuple[float, float], confidence: Any
) -> None:
    """p_t >= C is w.r >= m + log(C / (1 - C)), m the margin: never less than the boundary itself."""
    model = linear_model(2, (24,))
    x, y = samples(model, 16, bounds)
    logits, weight = model(x).detach(), model[1].weight.detach()
    margin = (logits.gather(1, y[:, None]) - logits.gather(1, 1 - y[:, None])).squeeze(1)
    wanted = margin if confidence == "clean" else torch.full_like(margin, math.log(confidence / (1 - confidence)))
    wanted = wanted.clamp(max=math.log((1 - 1e-6) / 1e-6))
    least = least_distance(weight[y] - weight[1 - y], margin + wanted, x, norm, bounds)
    result = run(HighConfidence(confidence=confidence), model, x, y, ThreatModel(norm, None, bounds))
    assert torch.equal(result.success, least < torch.inf)
    assert result.success.sum() >= 8
    ratio = (result.distance / least)[result.success]
    assert ratio.max() <= 1.05
    assert ratio.min() >= 1 - 1e-6


@pytest.mark.parametrize("norm", NORMS)
@settings(max_examples=20)
@given(confidence=st.floats(0.05, 1.0), classes=st.integers(2, 6), seed=st.integers(0, 1000))
def test_what_it_returns_has_the_confidence(norm: Norm, confidence: float, classes: int, seed: int) -> None:
    model = linear_model(classes, (24,), seed)
    x, y = samples(model, 4, (-5.0, 5.0))
    result = run(HighConfidence(confidence=confidence, steps=60), model, x, y, ThreatModel(norm, None, (-5.0, 5.0)))
    p, label = probabilities(model, result).max(1)
    assert (label != y)[result.success].all()
    assert (p >= min(confidence, 1 - 1e-6) - 1e-9)[result.success].all()
    assert torch.equal(result.adversarials[~result.success], x[~result.success])


@pytest.mark.parametrize("norm", NORMS)
def test_goes_to_the_class_of_the_nearest_boundary(norm: Norm) -> None:
    model = linear_model(5, (24,), seed=1)
    x, y = samples(model, 64, (-9.0, 9.0))
    logits, weight = model(x).detach(), model[1].weight.detach()
    dual = 2 if norm == "l2" else 1
    gaps = logits.gather(1, y[:, None]) - logits
    distances = gaps / (weight[y][:, None] - weight).norm(dual, dim=2).clamp(min=1e-300)
    nearest = distances.scatter(1, y[:, None], torch.inf).argmin(1)
    second = logits.scatter(1, y[:, None], -torch.inf).argmax(1)
    assert (nearest != second).any(), "where the likeliest class is always the nearest, the test says nothing"
    result = run(HighConfidence(confidence=0.9), model, x, y, ThreatModel(norm, None, (-9.0, 9.0)))
    assert result.success.all()
    assert torch.equal(probabilities(model, result).argmax(1), nearest)
    assert (result.backwards - result.forwards).eq(4 - 1).all(), "four boundaries in one forward pass, once"
    few = run(HighConfidence(confidence=0.9, top_k=1), model, x, y, ThreatModel(norm, None, (-9.0, 9.0)))
    assert torch.equal(probabilities(model, few).argmax(1), second)


def test_draws_other_targets() -> None:
    """The classes 0 to 3 have probabilities 0.7, 0.2, 0.1 and next to nothing; 0 is the label."""
    p = torch.tensor([0.7, 0.2, 0.1, 1e-12], dtype=torch.float64)
    model = nn.Linear(8, 4, dtype=torch.float64)
    with torch.no_grad():
        model.weight.normal_(0, 1, generator=torch.Generator().manual_seed(0))
        model.bias.copy_(p.log() - model.weight @ torch.full((8,), 0.5, dtype=torch.float64))
    x = torch.full((300, 8), 0.5, dtype=torch.float64)
    threat = ThreatModel("l2", None, (-50.0, 50.0))

    def shares(**options: Any) -> list[float]:
        result = run(
            HighConfidence(confidence=0.6, clip=math.inf, **options), model, x, torch.zeros(300).long(), threat
        )
        assert result.success.all()
        return (probabilities(model, result).argmax(1).bincount(minlength=4) / 300).tolist()  # type: ignore[no-any-return]

    assert shares(target="uniform") == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3], abs=0.1)
    assert shares(target="softmax") == pytest.approx([0, 2 / 3, 1 / 3, 0], abs=0.1)
    assert shares(target="uniform", top_k=2) == pytest.approx([0, 1 / 2, 1 / 2, 0], abs=0.1)


def test_given_targets_are_reached_each_with_its_confidence() -> None:
    model = linear_model(5, (24,), seed=1)
    x, y = samples(model, 16, (-9.0, 9.0))
    targets = (y + 1 + torch.arange(16) % 4) % 5
    with torch.no_grad():
        clean = model(x).softmax(1).amax(1)
    result = run(HighConfidence(), model, x, y, ThreatModel("l2", None, (-9.0, 9.0), True), targets=targets)
    p, label = probabilities(model, result).max(1)
    assert result.success.all()
    assert torch.equal(label, targets)
    assert (p >= clean.clamp(max=1 - 1e-6) - 1e-9).all()


@pytest.mark.parametrize("norm", NORMS)
def test_a_budget_is_kept_and_so_is_the_confidence(norm: Norm) -> None:
    model = linear_model(3, (24,))
    x, y = samples(model, 64)
    free = run(HighConfidence(confidence=0.9), model, x, y, ThreatModel(norm))
    budget = float(free.distance[free.success].median())
    result = run(HighConfidence(confidence=0.9), model, x, y, ThreatModel(norm, budget))
    clear = (free.distance / budget - 1).abs() > 1e-3
    assert torch.equal(result.success[clear], (free.distance <= budget)[clear])
    assert result.distance[result.success].max() <= budget * (1 + 1e-6)
    # The engine draws points that are a hair outside back onto the budget.
    assert (probabilities(model, result).amax(1) >= 0.9 - 1e-3)[result.success].all()


class Unsure(nn.Module):
    """Two classes, none of which ever has a confidence above 0.73."""

    def forward(self, x: Tensor) -> Tensor:
        z = (4 * (x.mean(1, keepdim=True) - 0.5)).tanh() / 2
        return torch.cat((-z, z), 1)


def test_a_confidence_out_of_reach_is_a_failure_not_a_black_image() -> None:
    x, y = torch.full((3, 6), 0.45), torch.zeros(3).long()
    reached = run(HighConfidence(confidence=0.6), PlainModel(Unsure(), 2), x, y, ThreatModel("l2"))
    failed = run(HighConfidence(confidence=0.8, steps=100), PlainModel(Unsure(), 2), x, y, ThreatModel("l2"))
    assert reached.success.all()
    assert not failed.success.any()
    assert torch.equal(failed.adversarials, x)


def test_values_at_the_bounds_move_and_a_constant_on_all_logits_changes_nothing() -> None:
    model = linear_model(2, (24,))
    x = (torch.rand(16, 24, generator=torch.Generator().manual_seed(0)) > 0.5).double()
    y = model(x).argmax(1)
    result = run(HighConfidence(confidence=0.7), model, x, y, ThreatModel("l2"))
    assert result.success.all()

    class Lowered(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            return model(inputs) - 1000  # type: ignore[no-any-return]

    low = run(HighConfidence(confidence=0.7), PlainModel(Lowered(), 2), x, y, ThreatModel("l2"))
    torch.testing.assert_close(low.adversarials, result.adversarials)


def test_samples_with_their_confidence_leave() -> None:
    model = linear_model(3, (24,))
    x, y = samples(model, 32, (-5.0, 5.0))
    result = run(HighConfidence(confidence=0.9), model, x, y, ThreatModel("l2", None, (-5.0, 5.0)))
    assert result.success.all()
    assert result.forwards.max() < 100
    assert result.forwards.min() < result.forwards.max()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"confidence": 0.0}, r"in \(0, 1\], or clean"),
        ({"confidence": 1.5}, r"in \(0, 1\]"),
        ({"confidence": "same"}, "a number, or clean"),
        ({"steps": 0}, "at least 1"),
        ({"clip": 0.0}, "positive"),
        ({"overshoot": -0.1}, "at least 0"),
        ({"target": "nearest"}, "choose one of closest, uniform, softmax"),
        ({"top_k": 0}, "at least 1"),
    ],
)
def test_bad_hyper_parameters(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        HighConfidence(**options)
