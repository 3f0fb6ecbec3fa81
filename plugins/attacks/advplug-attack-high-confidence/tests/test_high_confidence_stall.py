"""Steps that zigzag over a kink: noticed, led along it, and brought back near the clean sample."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from advplug_attack_high_confidence import HighConfidence
from torch import Tensor, nn

from advplug import ThreatModel, load, run

C = 0.9
LEVEL = math.log(C / (1 - C))
STEEP = 50.0


class Ridge(nn.Module):
    """Two classes with margin ``sum of all values but the first - STEEP * |first - 1/2| - 12``: a ridge.

    From a sample on the ridge the nearest point of confidence C is straight along it.
    """

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        margin = flat[:, 1:].sum(1) - STEEP * (flat[:, 0] - 0.5).abs() - 12
        return torch.stack((-margin / 2, margin / 2), 1)


def samples() -> tuple[Tensor, Tensor, Tensor]:
    """Inputs beside the ridge, labels, and the distances from the ridge in closed form: (LEVEL - margin) / sqrt(16)."""
    x = 0.3 + 0.3 * torch.rand(8, 17, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x[:, 0] = 0.501
    return x, torch.zeros(8).long(), (LEVEL - (x[:, 1:].sum(1) - 12)) / 4


def test_plain_steps_stall_on_a_ridge_and_evened_ones_reach_its_nearest_point() -> None:
    x, y, least = samples()
    threat = ThreatModel("l2")
    plain = run(HighConfidence(confidence=C, steps=200, patience=None), Ridge(), x, y, threat)
    even = run(HighConfidence(confidence=C, steps=200), Ridge(), x, y, threat)
    assert not plain.success.any()
    assert even.success.all()
    ratio = even.distance / least
    assert ratio.min() >= 1 - 1e-9
    assert ratio.max() <= 1.1


def test_a_sample_that_stalled_comes_back_and_without_retreat_it_leaves() -> None:
    x, y, _ = samples()
    threat = ThreatModel("l2")
    stays, leaves = (run(HighConfidence(confidence=C, steps=200, retreat=r), Ridge(), x, y, threat) for r in (0.1, 0))
    assert leaves.success.all()
    assert (leaves.forwards < stays.forwards).all()
    assert (stays.distance <= leaves.distance).all()


def problem(preset: str) -> Any:
    pytest.importorskip("advplug_defense_adversarial_training")
    pytest.importorskip("advplug_data_mnist")
    digits = load("data:mnist")().load("shipped", 240)[200:]
    return load("defense:adversarial-training")().build(preset), digits.inputs, digits.labels


def test_adversarially_trained_digits_reach_the_confidence() -> None:
    """Digits that chose no setting; the attack of the sources reaches about a third of them."""
    net, x, y = problem("mnist-linf")
    plain = run(HighConfidence(confidence=0.97, patience=None), net, x, y, ThreatModel("l2"))
    found, leaves = (run(HighConfidence(confidence=0.97, retreat=r), net, x, y, ThreatModel("l2")) for r in (0.1, 0))
    assert (plain.success & plain.correct).sum() <= 0.6 * plain.correct.sum()
    assert (found.success & found.correct).sum() >= 0.95 * found.correct.sum()
    both = plain.success & found.success & found.correct
    assert found.distance[both].mean() <= plain.distance[both].mean()
    both = leaves.success & found.success & found.correct
    assert found.distance[both].mean() < 0.9 * leaves.distance[both].mean()


def test_nothing_changes_where_nothing_stalls() -> None:
    net, x, y = problem("mnist")
    plain, default = (run(HighConfidence(patience=p), net, x, y, ThreatModel("l2")) for p in (None, 10))
    assert plain.success.all()
    assert torch.equal(plain.adversarials, default.adversarials)
    assert torch.equal(plain.backwards, default.backwards)
