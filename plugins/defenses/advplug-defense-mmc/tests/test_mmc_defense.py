"""Centres, logits, training loss and presets of MMC."""

from __future__ import annotations

import json
from itertools import combinations

import pytest
import torch
from advplug_defense_mmc._centres import distance_to_own_centre, max_mahalanobis_centres
from advplug_defense_mmc._defense import MMC
from advplug_defense_mmc._networks import CentreNet, PaperNet
from hypothesis import given, settings
from hypothesis import strategies as st

import advplug
from advplug.data import Images
from advplug.errors import InvalidInput, MissingWeights
from advplug.training import Batch

SHIPPING = [name for name, preset in MMC.presets.items() if preset.weights is not None]


def noise(preset: str, count: int) -> Images:
    shape = (1, 28, 28) if MMC.presets[preset].data == "mnist" else (3, 32, 32)
    inputs = torch.rand(count, *shape, generator=torch.Generator().manual_seed(0))
    return Images(inputs, torch.arange(count) % 10, tuple("0123456789"), "noise")


@settings(max_examples=30)
@given(st.integers(2, 20), st.integers(0, 30), st.floats(0.5, 50))
def test_centres_have_one_length_and_equal_angles(classes: int, spare: int, norm: float) -> None:
    centres = max_mahalanobis_centres(classes, classes - 1 + spare, norm).double()
    torch.testing.assert_close(centres.norm(dim=1), torch.full((classes,), norm).double(), rtol=1e-5, atol=0)
    for first, second in combinations(centres, 2):
        assert float(first @ second) == pytest.approx(-(norm**2) / (classes - 1), rel=1e-4)
        assert float((first - second).square().sum()) == pytest.approx(2 * norm**2 * classes / (classes - 1), rel=1e-4)


@pytest.mark.parametrize(("classes", "width"), [(1, 5), (10, 8)])
def test_centres_that_do_not_fit_are_refused(classes: int, width: int) -> None:
    with pytest.raises(InvalidInput, match="classes - 1"):
        max_mahalanobis_centres(classes, width)


@pytest.mark.parametrize("preset", SHIPPING)
def test_logits_are_negative_squared_distances(preset: str) -> None:
    model, x = MMC().build(preset), noise(preset, 4).inputs
    assert isinstance(model, CentreNet)
    features, logits = model.features(x).detach().double(), model(x)
    for row in range(4):
        for label in range(10):
            distance = float((features[row] - model.centres[label].double()).square().sum())
            assert logits[row, label].item() == pytest.approx(-distance, rel=1e-4, abs=1e-3)


@pytest.mark.parametrize("adversarial", [False, True])
def test_training_minimises_the_distance_to_the_own_centre(adversarial: bool) -> None:
    model, data = MMC().build("mnist"), noise("mnist", 6)
    assert isinstance(model, CentreNet)
    other = 1 - data.inputs if adversarial else None
    loss, logits = distance_to_own_centre(model, Batch(data.inputs, data.labels, other, torch.Generator()))
    seen = data.inputs if other is None else other
    torch.testing.assert_close(logits, model(seen))
    distances = (model.features(seen) - model.centres[data.labels]).square().sum(1)
    torch.testing.assert_close(loss, distances.mean())


def test_the_logits_of_digits_are_far_apart() -> None:
    digits = advplug.load("data:mnist")().load("shipped", 300)
    with torch.no_grad():
        logits = MMC().build("mnist")(digits.inputs)
    top = logits.topk(2, dim=1).values
    assert (logits.argmax(1) == digits.labels).float().mean() >= 0.96
    assert top[:, 0].median() > -20
    assert 180 < (top[:, 0] - top[:, 1]).median() < 240  # 222 apart where a feature lies on its centre


@pytest.mark.parametrize("preset", SHIPPING)
def test_shipped_weights(preset: str) -> None:
    path = MMC.presets[preset].weights
    assert path is not None
    assert path.stat().st_size < 700_000
    record = json.loads(path.with_suffix(".json").read_text(encoding="ascii"))
    assert record["command"][:3] == ["advplug", "train", "mmc"]
    assert (record["preset"], record["seed"]) == (preset, 0)
    assert record["epochs"] == MMC.configurations[preset].training.epochs
    assert record["clean_accuracy"] > (0.96 if preset == "mnist" else 0.65)


def test_the_authors_network_runs_and_ships_no_weights() -> None:
    model = MMC().network("paper")
    assert isinstance(model, PaperNet)
    depth = sum(
        isinstance(part, torch.nn.Conv2d | torch.nn.Linear)
        for name, part in model.named_modules()
        if "short" not in name
    )
    assert depth == 47
    images = noise("paper", 2).inputs
    model.centre_on(images)
    torch.testing.assert_close(model.eval().features(images), model.layers(images - images.mean(0)))
    assert model(images).shape == (2, 10)
    recipe = MMC.configurations["paper"].training
    rates = [recipe.learning_rate_at(epoch, 1) for epoch in (99, 100, 149, 150, 199)]
    assert rates == pytest.approx([1e-2, 1e-3, 1e-3, 1e-4, 1e-4])
    with pytest.raises(MissingWeights, match="train"):
        MMC().build("paper")


def test_the_authors_network_starts_from_the_mean_of_its_training_images() -> None:
    data = noise("paper", 4)
    model = MMC().initial("paper", data, seed=0)
    assert torch.equal(model.mean, data.inputs.mean(0))


def test_training_is_deterministic() -> None:
    def train(seed: int) -> dict[str, torch.Tensor]:
        model = MMC().train("mnist", noise("mnist", 40), seed=seed, device="cpu", on_epoch=lambda *_: None)
        return dict(model.state_dict())

    first, again, other = train(3), train(3), train(4)
    assert "centres" not in first
    for name, value in first.items():
        assert torch.equal(value, again[name]), name
    assert not torch.equal(first["layers.0.weight"], other["layers.0.weight"])
