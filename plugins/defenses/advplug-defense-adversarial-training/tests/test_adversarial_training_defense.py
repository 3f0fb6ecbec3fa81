"""The presets of adversarial training: networks, shipped weights, and what the training is worth."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from advplug_defense_adversarial_training._defense import FGSM, AdversarialTraining
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn

import advplug
from advplug.data import Images
from advplug.errors import InvalidInput, MissingWeights
from advplug.training import Adversary

SHIPPING = [name for name, preset in AdversarialTraining.presets.items() if preset.weights is not None]
CLEAN = {
    name: 0.95 for name, preset in AdversarialTraining.presets.items() if name in SHIPPING and preset.data == "mnist"
}


def noise(preset: str, count: int) -> Images:
    generator = torch.Generator().manual_seed(0)
    shape = (1, 28, 28) if AdversarialTraining.presets[preset].data == "mnist" else (3, 32, 32)
    inputs = torch.rand(count, *shape, generator=generator)
    return Images(inputs, torch.arange(count) % 10, tuple("0123456789"), "noise")


def accuracy(model: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> float:
    with torch.no_grad():
        return (model(inputs).argmax(1) == labels).float().mean().item()


@pytest.fixture(scope="module")
def digits() -> Images:
    shipped: Images = advplug.load("data:mnist")().load("shipped", 200)
    return shipped


def under_pgd(preset: str, norm: Any, epsilon: float, digits: Images) -> float:
    model = AdversarialTraining().build(preset)
    adversary = Adversary(norm=norm, epsilon=epsilon, step_size=epsilon / 10, steps=40)
    attacked = adversary(model, digits.inputs, digits.labels, torch.Generator().manual_seed(0))
    return accuracy(model, attacked, digits.labels)


def test_plugin_is_found() -> None:
    assert advplug.load("defense:adversarial-training") is AdversarialTraining


def test_presets_train_against_their_own_threat() -> None:
    assert set(AdversarialTraining.presets) == set(AdversarialTraining.configurations)
    for name, preset in AdversarialTraining.presets.items():
        adversary = AdversarialTraining.configurations[name].training.adversary
        if adversary is None:
            assert name in {"mnist", "mnist-pooling", "mnist-vat", "cifar10"}
        else:
            judged = adversary.check()
            assert isinstance(judged, Adversary)
            assert (judged.norm, judged.epsilon) == (preset.threat.norm, preset.threat.epsilon), name
        if preset.data == "mnist":
            assert (preset.train_split, preset.test_split) == ("train-disjoint", "shipped"), name


@pytest.mark.parametrize("preset", AdversarialTraining.presets)
def test_networks(preset: str) -> None:
    model = AdversarialTraining().network(preset).eval()
    images = noise(preset, 3)
    logits = model(images.inputs)
    assert logits.shape == (3, 10)
    torch.testing.assert_close(logits[1:2], model(images.inputs[1:2]), atol=1e-5, rtol=0)
    assert not model.rejects
    if preset in SHIPPING:
        assert sum(p.numel() for p in model.parameters()) < 480_000


def test_the_authors_network_ships_no_weights() -> None:
    # 832 + 51,264 + 3,212,288 + 10,250: the layers of the paper's network.
    assert sum(p.numel() for p in AdversarialTraining().network("paper-mnist").parameters()) == 3_274_634
    with pytest.raises(MissingWeights, match="train"):
        AdversarialTraining().build("paper-mnist")


@pytest.mark.parametrize("preset", SHIPPING)
def test_shipped_weights(preset: str) -> None:
    path = AdversarialTraining.presets[preset].weights
    assert path is not None
    assert path.stat().st_size < 2_000_000
    record = json.loads(path.with_suffix(".json").read_text(encoding="ascii"))
    assert record["command"][:3] == ["advplug", "train", "adversarial-training"]
    assert (record["preset"], record["seed"]) == (preset, 0)
    assert record["versions"]["torch"]
    assert record["metrics"]["accuracy"] > (0.9 if AdversarialTraining.presets[preset].data == "mnist" else 0.3)
    model = AdversarialTraining().build(preset)
    assert not model.training
    assert torch.equal(model.state_dict()["layers.0.weight"], load_file(path)["layers.0.weight"])


@pytest.mark.parametrize("preset", CLEAN)
def test_clean_accuracy(preset: str, digits: Images) -> None:
    assert accuracy(AdversarialTraining().build(preset), digits.inputs, digits.labels) >= CLEAN[preset]


@pytest.mark.parametrize(("norm", "epsilon", "least"), [("linf", 0.3, 0.8), ("l2", 2.0, 0.5)])
def test_adversarially_trained_digits_resist_pgd(norm: str, epsilon: float, least: float, digits: Images) -> None:
    assert under_pgd("mnist", norm, epsilon, digits) < 0.25
    assert under_pgd(f"mnist-{norm}", norm, epsilon, digits) >= least


def test_relatives_of_adversarial_training_resist_what_they_were_trained_against(digits: Images) -> None:
    assert under_pgd("mnist", "linf", 0.2, digits) < 0.05
    for preset, norm, epsilon, least in (
        ("mnist-trades", "linf", 0.3, 0.8),
        ("mnist-joint", "l2", 2.0, 0.5),
        ("mnist-joint", "linf", 0.2, 0.6),
        ("mnist-ensemble", "linf", 0.1, 0.7),
        ("mnist-vat", "l2", 1.0, 0.6),
    ):
        assert under_pgd(preset, norm, epsilon, digits) >= least, preset


def test_training_on_one_step_is_fooled_by_many(digits: Images) -> None:
    model = AdversarialTraining().build("mnist-fgsm")
    one_step = AdversarialTraining.configurations["mnist-fgsm"].training.adversary
    assert one_step is not None
    left = accuracy(model, one_step(model, digits.inputs, digits.labels), digits.labels)
    assert left >= 0.85
    assert under_pgd("mnist-fgsm", "linf", 0.2, digits) <= left - 0.2


def test_the_ensemble_attacks_fixed_networks_and_the_one_in_training() -> None:
    """A network whose gradient is zero: what the step changes comes from the others."""
    model, images = AdversarialTraining().network("mnist"), noise("mnist", 2)
    model.load_state_dict({name: torch.zeros_like(value) for name, value in model.state_dict().items()})
    x, y = images.inputs, images.labels
    adversary = AdversarialTraining.configurations["mnist-ensemble"].training.adversary
    assert adversary is not None
    generator = torch.Generator().manual_seed(0)
    found = [adversary(model, x, y, generator) for _ in range(40)]
    expected = [FGSM(AdversarialTraining().build(preset), x, y) for preset in ("mnist", "mnist-pooling")] + [x]
    drawn = [[torch.equal(one, other) for other in expected] for one in found]
    assert all(sum(row) == 1 for row in drawn)
    assert all(any(column) for column in zip(*drawn, strict=True))


@settings(max_examples=15)
@given(st.integers(0, 1000), st.sampled_from(["mnist-linf", "mnist-l2", "cifar10-linf", "cifar10-l2"]))
def test_the_adversaries_of_the_presets_stay_in_ball_and_box(seed: int, preset: str) -> None:
    adversary = AdversarialTraining.configurations[preset].training.adversary
    assert adversary is not None
    model, images = AdversarialTraining().network(preset), noise(preset, 4)
    x = (3 * images.inputs - 1).clamp(0, 1)  # two thirds of the pixels saturated
    attacked = adversary(model, x, images.labels, torch.Generator().manual_seed(seed))
    distance = torch.linalg.vector_norm(
        (attacked - x).flatten(1).double(), 2 if preset.endswith("l2") else torch.inf, 1
    )
    assert bool(((attacked >= 0) & (attacked <= 1)).all())
    assert bool((distance <= adversary.epsilon * (1 + 1e-5)).all())
    assert bool((distance > 0).all())


def test_training_is_deterministic() -> None:
    data = noise("mnist-l2", 40)

    def train(seed: int) -> dict[str, torch.Tensor]:
        defense = AdversarialTraining()
        model = defense.train("mnist-l2", data, seed=seed, device="cpu", on_epoch=lambda *_: None)
        return dict(model.state_dict())

    first, again, other = train(3), train(3), train(4)
    for name, value in first.items():
        assert torch.equal(value, again[name]), name
    assert not torch.equal(first["layers.0.weight"], other["layers.0.weight"])


def test_unknown_presets_are_refused() -> None:
    for call in (AdversarialTraining().build, AdversarialTraining().network):
        with pytest.raises(InvalidInput, match="mnist-linf"):
            call("svhn")
