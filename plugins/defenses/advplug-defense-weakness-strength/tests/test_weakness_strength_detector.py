"""The tests of the detector against their definitions, their thresholds, and the authors' settings."""

from __future__ import annotations

import math
from typing import cast

import pytest
import torch
from advplug_defense_weakness_strength._calibration import joint_thresholds
from advplug_defense_weakness_strength._defense import RATE, SHARES, WeaknessStrengthDefense
from advplug_defense_weakness_strength._detector import Descent, instability, random_others
from advplug_defense_weakness_strength._model import WeaknessStrength
from advplug_defense_weakness_strength._networks import VGG19
from torch import Tensor

from advplug import load
from advplug.data import Images
from advplug.errors import InvalidInput


def line(x: Tensor) -> Tensor:
    """Two classes on a line: the first below zero, with a slope of 1 between their logits."""
    return torch.cat((-x / 2, x / 2), 1)


@pytest.fixture(scope="module")
def digits() -> Images:
    found: Images = load("data:mnist")().load("shipped", 1000)
    return found


def shifted(x: Tensor) -> Tensor:
    """The same with the boundary at a half."""
    return line(x - 0.5)


@pytest.mark.parametrize("targeted", [True, False])
def test_steps_are_counted_along_the_plain_gradient(targeted: bool) -> None:
    """Its size is p of the own class towards the other one, and 1 - p away from the own one: that is confidence."""
    rate = 0.01
    found = Descent(rate, 1.0, 200, targeted)(shifted, torch.tensor([[0.3], [0.05], [0.9]]))
    for start, steps in zip((0.3, 0.05, 0.9), found.tolist(), strict=True):
        distance, taken = abs(start - 0.5), 0
        while distance > 0:
            own = 1 / (1 + math.exp(-distance))
            distance -= rate * (own if targeted else 1 - own)
            taken += 1
        assert abs(taken - steps) <= 1


def test_a_descent_ends_at_its_cap_and_at_its_radius() -> None:
    x = torch.tensor([[0.1], [0.45]])
    assert Descent(1.0, 0.1, 5)(shifted, x).tolist() == [6.0, 1.0], "one is farther than the radius"
    assert Descent(1e-6, 1.0, 5)(shifted, x).tolist() == [6.0, 6.0]


def test_instability_is_the_change_of_the_softmax_under_one_draw() -> None:
    x = torch.rand(6, 1)
    torch.manual_seed(0)
    found = instability(line, x, 2.0)
    torch.manual_seed(0)
    noise = 2.0 * torch.randn_like(x)
    torch.testing.assert_close(found, (line(x).softmax(1) - line(x + noise).softmax(1)).abs().sum(1))


def test_random_targets_are_any_other_class() -> None:
    torch.manual_seed(0)
    scores = torch.eye(4).repeat(500, 1)
    drawn = random_others(scores)
    assert (drawn != scores.argmax(1)).all()
    counts = torch.bincount(drawn[scores.argmax(1) == 0], minlength=4)
    assert counts[0] == 0
    assert (counts[1:] > 100).all()


def test_thresholds_reject_the_stated_share_together() -> None:
    scores = torch.rand(4000, 3, generator=torch.Generator().manual_seed(0))
    thresholds = joint_thresholds(scores, 0.1, (1, 1, 8))
    alone = (scores > thresholds).float().mean(0)
    assert (scores > thresholds).any(1).float().mean() == pytest.approx(0.1, abs=0.002)
    assert (alone[2] / alone[0]).item() == pytest.approx(8, rel=0.2)
    with pytest.raises(InvalidInput, match="gets none right"):
        joint_thresholds(scores[:0], 0.1, (1, 1, 8))


def test_clean_digits_are_rejected_at_about_the_stated_rate(digits: Images) -> None:
    """On digits that were used for no calibration; three standard deviations of a share of a thousand."""
    model = WeaknessStrengthDefense().build("mnist")
    assert model.capabilities.thresholds is not None
    torch.manual_seed(0)
    decision = model.decide(digits.inputs)
    right = decision.labels == digits.labels
    assert (~decision.accepted)[right].float().mean().item() == pytest.approx(RATE, abs=0.03)


def test_decisions_follow_the_scores_and_are_random(digits: Images) -> None:
    model, x = cast(WeaknessStrength, WeaknessStrengthDefense().build("mnist")), digits.inputs[:30]
    torch.manual_seed(0)
    decision = model.decide(x)
    torch.manual_seed(0)
    scores = model.detector_scores(x)
    assert torch.equal(decision.accepted, (scores <= model.thresholds).all(1))
    assert not torch.equal(model.detector_scores(x), scores)


@torch.no_grad()
def test_a_batch_of_no_image_is_decided_too() -> None:
    decision = WeaknessStrengthDefense().build("mnist").decide(torch.zeros(0, 1, 28, 28))
    assert decision.labels.shape == decision.accepted.shape == (0,)


def test_calibration_repeats_itself(digits: Images) -> None:
    first, second = (
        WeaknessStrengthDefense().train("mnist", digits[:200], seed=0, device="cpu", on_epoch=lambda *_: None)
        for _ in range(2)
    )
    assert torch.equal(first.detector.values, second.detector.values)
    assert set(WeaknessStrengthDefense().trained_part("mnist", first).state_dict()) == {"values"}
    assert sum(SHARES) == pytest.approx(1)


def test_the_authors_network_and_settings() -> None:
    """VGG-19 with batch normalisation and one linear layer has 20.04 million weights on CIFAR-10."""
    model = WeaknessStrengthDefense().network("paper")
    assert isinstance(model, WeaknessStrength)
    assert isinstance(model.classifier, VGG19)
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(20.04e6, rel=0.002)
    assert model.thresholds.tolist() == pytest.approx([0.009, 119, 10_000])
    model.descents = tuple(Descent(d.rate, d.radius, 2, d.targeted) for d in model.descents)  # 1,200 steps otherwise
    assert model.decide(torch.rand(2, 3, 32, 32)).labels.shape == (2,)


def test_unknown_presets_are_refused(digits: Images) -> None:
    with pytest.raises(InvalidInput, match="cifar10"):
        WeaknessStrengthDefense().train("svhn", digits, seed=0, device="cpu", on_epoch=lambda *_: None)
