"""The detector: its training set, its decision, and what the shipped one recognises."""

from __future__ import annotations

import json

import pytest
import torch
from advplug_defense_adversarial_training import AdversarialTraining
from advplug_defense_retraining_detector import (
    LOSSES,
    Detected,
    Detector,
    RetrainingDetector,
    attacked,
    genuine_and_adversarial,
    wrong_classes,
)
from torch import nn

from advplug import load
from advplug.data import Images


@pytest.fixture(scope="module")
def digits() -> Images:
    shipped: Images = load("data:mnist")().load("shipped", 60)
    return shipped


class Brightness(nn.Module):
    """Takes an image for adversarial if its mean exceeds a half."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = x.flatten(1).mean(1)
        return torch.stack((torch.full_like(mean, 0.5), mean), 1)


def test_it_rejects_what_looks_more_adversarial_than_genuine() -> None:
    model = Detected(AdversarialTraining().network("mnist"), Brightness())
    x = torch.tensor([0.0, 0.5, 0.51]).view(3, 1, 1, 1).expand(3, 1, 28, 28)
    torch.testing.assert_close(model.detector_scores(x)[:, 0], torch.tensor([-0.5, 0.0, 0.01]))
    decision = model.decide(x)
    assert decision.accepted.tolist() == [True, True, False]
    assert torch.equal(decision.labels, model.classifier(x).argmax(1))
    assert model.rejects


def test_targets_are_always_wrong_and_always_the_same() -> None:
    labels = torch.arange(1000) % 10
    targets = wrong_classes(labels)
    assert bool((targets != labels).all())
    assert torch.equal(targets, wrong_classes(labels))
    assert set(((targets - labels) % 10).tolist()) == set(range(1, 10))


def test_the_training_set_has_as_many_genuine_images_as_it_can(digits: Images) -> None:
    net = AdversarialTraining().build("mnist")
    images = genuine_and_adversarial(net, digits[:20], ("CE", "M-logit"))
    found = int(images.labels.sum())
    assert 30 <= found <= 40
    assert len(images) - found == 20  # no more were given
    assert torch.equal(images.inputs[:20], digits.inputs[:20])
    both = [attacked(net, digits[:20], name) for name in ("CE", "M-logit")]
    assert torch.equal(images.inputs[20:], torch.cat(both))
    assert images.labels.tolist() == [0] * 20 + [1] * found
    assert images.class_names == ("genuine", "adversarial")


@pytest.mark.parametrize("name", LOSSES)
def test_attacked_images_are_taken_for_their_targets(name: str, digits: Images) -> None:
    net = AdversarialTraining().build("mnist")
    few = digits[:5]
    found = attacked(net, few, name)
    with torch.no_grad():
        answers = net(found).argmax(1).tolist()
    targets = wrong_classes(few.labels).tolist()
    assert answers == targets


@pytest.mark.parametrize("preset", RetrainingDetector.presets)
def test_shipped_weights(preset: str) -> None:
    path = RetrainingDetector.presets[preset].weights
    assert path is not None
    assert path.stat().st_size < 500_000
    record = json.loads(path.with_suffix(".json").read_text(encoding="ascii"))
    assert record["command"][:3] == ["advplug", "train", "retraining-detector"]
    assert (record["preset"], record["seed"]) == (preset, 0)


def test_the_shipped_detector_knows_the_attacks_of_its_training(digits: Images) -> None:
    model = RetrainingDetector().build("mnist")
    assert isinstance(model, Detected)
    assert model.decide(digits.inputs).accepted.float().mean() >= 0.85
    for name in LOSSES:
        found = attacked(model.classifier, digits[:20], name)
        assert model.decide(found).accepted.float().mean() <= 0.3, name


def test_detectors_halve_the_image_at_each_convolution_but_the_first() -> None:
    for channels, side in ((1, 28), (3, 32), (3, 33)):
        logits = Detector(channels, side, (4, 8, 8)).eval()(torch.rand(2, channels, side, side))
        assert logits.shape == (2, 2)
