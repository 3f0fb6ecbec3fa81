"""The presets of the adversary critic: networks, training, shipped weights, and what the game is worth."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from advplug_attack_high_confidence import closest_targets, unrolled
from advplug_defense_adversary_critic import AdversaryCritic, AdversaryCriticDefense
from advplug_defense_adversary_critic._defense import first_epoch
from torch import nn

import advplug
from advplug.data import Images
from advplug.errors import MissingWeights
from advplug.training import Adversary, checkpoints, cross_entropy

PRESETS = AdversaryCriticDefense.presets
CONTROLS = {"mnist": "mnist-plain", "mnist-wide": "mnist-wide-plain"}
SHIPPING = (*CONTROLS, *CONTROLS.values())


def build(preset: str) -> nn.Module:
    return AdversaryCriticDefense().build(preset)


def noise(count: int) -> Images:
    inputs = torch.rand(count, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    return Images(inputs, torch.arange(count) % 10, tuple("0123456789"), "noise")


@pytest.fixture(scope="module")
def digits() -> Images:
    shipped: Images = advplug.load("data:mnist")().load("shipped", 200)
    return shipped


def accuracy(model: nn.Module, inputs: torch.Tensor, digits: Images) -> float:
    with torch.no_grad():
        return (model(inputs).argmax(1) == digits.labels).float().mean().item()


def test_paper_has_the_settings_of_the_thesis() -> None:
    for name, weight in (("paper", 0.5), ("paper-lenet", 0.1)):
        training = AdversaryCriticDefense.configurations[name].training
        assert (training.epochs, training.batch_size, training.optimiser, training.momentum) == (100, 100, "adam", 0.5)
        rates = [training.learning_rate_at(epoch, 1) for epoch in (0, 39, 40, 79, 80)]
        assert rates == pytest.approx([5e-4, 5e-4, 2.5e-4, 2.5e-4, 1.25e-4])
        loss = training.loss
        assert isinstance(loss, AdversaryCritic)
        assert (loss.weight, loss.cycle, loss.slope, loss.steps, loss.overshoot) == (weight, 0.01, 10, 5, 0.05)
        assert (loss.learning_rate, loss.momentum, loss.decay) == (1e-3, 0.5, 0.5)
        # 942,000 + 1,441,200 + 12,010: two hidden layers of 1200.
        assert sum(p.numel() for p in loss.begin().critic.parameters()) == 2_395_210
        before = first_epoch(training)
        assert (before.epochs, before.loss, before.learning_rate_at(0, 1)) == (1, cross_entropy, 5e-4)


@pytest.mark.parametrize(
    ("preset", "parameters"),
    # 942,000 + 2 * 1,441,200 + 12,010 and 832 + 51,264 + 524,800 + 5,130: the layers of the thesis.
    [("mnist", 67_762), ("mnist-wide", 199_210), ("paper", 3_836_410), ("paper-lenet", 582_026)],
)
def test_networks(preset: str, parameters: int) -> None:
    model = AdversaryCriticDefense().network(preset)
    assert model(noise(3).inputs).shape == (3, 10)
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_the_networks_of_the_thesis_ship_no_weights() -> None:
    assert {name for name, preset in PRESETS.items() if preset.weights is not None} == set(SHIPPING)
    for preset in ("paper", "paper-lenet"):
        with pytest.raises(MissingWeights, match="train"):
            build(preset)


@pytest.mark.parametrize("preset", SHIPPING)
def test_shipped_weights(preset: str, digits: Images) -> None:
    path = PRESETS[preset].weights
    assert path is not None
    assert path.stat().st_size < 1_000_000
    record = json.loads(path.with_suffix(".json").read_text(encoding="ascii"))
    assert record["command"][:3] == ["advplug", "train", "adversary-critic"]
    assert (record["preset"], record["seed"]) == (preset, 0)
    assert not build(preset).training
    assert accuracy(build(preset), digits.inputs, digits) >= 0.94


@pytest.mark.parametrize(("preset", "control"), CONTROLS.items())
def test_digits_are_farther_from_a_boundary_and_from_confident_mistakes(
    preset: str, control: str, digits: Images
) -> None:
    def under_pgd(name: str) -> float:
        model = build(name)
        pgd = Adversary(norm="l2", epsilon=1.5, step_size=0.2, steps=40)
        attacked = pgd(model, digits.inputs, digits.labels, torch.Generator().manual_seed(0))
        return accuracy(model, attacked, digits)

    def to_confident_mistakes(name: str) -> float:
        model, x = build(name), digits.inputs[:50]
        attacked, r = unrolled(model, x, closest_targets(model, x), 0.9, steps=50, clip=0.1, overshoot=0.02)
        crossed = model(attacked).argmax(1) != model(x).argmax(1)
        assert crossed.float().mean() > 0.9
        return r[crossed].flatten(1).norm(dim=1).mean().item()

    assert under_pgd(preset) > under_pgd(control) + 0.1
    assert to_confident_mistakes(preset) > 1.3 * to_confident_mistakes(control)


def train(seed: int) -> dict[str, torch.Tensor]:
    defense = AdversaryCriticDefense().trained_with("mnist", epochs=2)
    model = defense.train("mnist", noise(200), seed=seed, device="cpu", on_epoch=lambda *_: None)
    return dict(model.state_dict())


def test_training_is_deterministic() -> None:
    first, again, other = train(3), train(3), train(4)
    for name, value in first.items():
        assert torch.equal(value, again[name]), name
    assert not torch.equal(first["layers.1.weight"], other["layers.1.weight"])


def test_an_interrupted_training_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    def interrupt(epoch: int, *_: object) -> None:
        raise KeyboardInterrupt

    defense = AdversaryCriticDefense().trained_with("mnist", epochs=2)
    with pytest.raises(KeyboardInterrupt), checkpoints(tmp_path / "kept"):
        defense.train("mnist", noise(200), seed=3, device="cpu", on_epoch=interrupt)
    with checkpoints(tmp_path / "kept"):
        resumed = train(3)
    for name, value in train(3).items():
        assert torch.equal(value, resumed[name]), name
