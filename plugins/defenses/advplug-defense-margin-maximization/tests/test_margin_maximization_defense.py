"""The presets of deep margin maximisation: networks, shipped weights, and what the penalty is worth."""

from __future__ import annotations

import json

import pytest
import torch
from advplug_defense_margin_maximization import MarginMaximization, MarginMaximizationDefense, margin_sensitivity
from torch import nn

import advplug
from advplug.data import Images
from advplug.errors import MissingWeights
from advplug.training import Adversary

PRESETS = MarginMaximizationDefense.presets
SHIPPING = [name for name, preset in PRESETS.items() if preset.weights is not None]
CONTROLS = {
    "mnist": "mnist-plain",
    "mnist-l1": "mnist-plain",
    "mnist-cross-entropy": "mnist-plain-cross-entropy",
    "mnist-lenet": "mnist-lenet-plain",
    "mnist-mlp": "mnist-mlp-plain",
    "mnist-mlp-l1": "mnist-mlp-plain",
}
WEAK = "mnist-mlp-weak"
"""Its penalty is small, as those are of which the thesis says that they fool DeepFool."""


def build(preset: str) -> nn.Module:
    return MarginMaximizationDefense().build(preset)


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


def under_fgsm(preset: str, digits: Images) -> float:
    model = build(preset)
    fgsm = Adversary(epsilon=0.2, step_size=0.2, steps=1, start="input")
    return accuracy(model, fgsm(model, digits.inputs, digits.labels), digits)


def under_pgd(preset: str, epsilon: float, digits: Images) -> float:
    """Accuracy under 40 steps of PGD within a ball of L2."""
    model = build(preset)
    pgd = Adversary(norm="l2", epsilon=epsilon, step_size=epsilon / 8, steps=40)
    attacked = pgd(model, digits.inputs, digits.labels, torch.Generator().manual_seed(0))
    return accuracy(model, attacked, digits)


def test_presets_have_the_weights_of_the_thesis() -> None:
    configurations = MarginMaximizationDefense.configurations
    assert set(PRESETS) == set(configurations)
    assert set(SHIPPING) == {*CONTROLS, *CONTROLS.values(), WEAK}
    assert configurations[WEAK].training.loss == MarginMaximization(0.0003)
    assert configurations["mnist-lenet"].training.loss == MarginMaximization(0.1)
    for base in ("mnist", "mnist-mlp", "paper", "paper-mlp"):
        assert configurations[base].training.loss == MarginMaximization(0.1, norm="l2-squared", loss="hinge")
        assert configurations[f"{base}-l1"].training.loss == MarginMaximization(0.01, norm="l1", loss="hinge")
        assert configurations[f"{base}-plain"].training.loss == MarginMaximization(0, loss="hinge")


def test_paper_has_the_training_of_the_thesis() -> None:
    for name in ("paper", "paper-mlp-l1"):
        training = MarginMaximizationDefense.configurations[name].training
        assert (training.epochs, training.batch_size, training.optimiser) == (100, 100, "adam")
        rates = [training.learning_rate_at(step, 1) for step in range(100)]
        assert rates == pytest.approx([1e-3 * 0.95**epoch for epoch in range(100)])


@pytest.mark.parametrize(
    ("preset", "parameters"),
    [
        ("mnist", 59_034),
        # 416 + 12,832 + 131,328 + 2,570: half of each layer; and 200,960 + 65,792 + 2,570.
        ("mnist-lenet", 147_146),
        ("mnist-mlp", 269_322),
        # 832 + 51,264 + 524,800 + 5,130 and 785,000 + 2 * 1,001,000 + 10,010: the layers of the thesis.
        ("paper", 582_026),
        ("paper-mlp", 2_797_010),
    ],
)
def test_networks(preset: str, parameters: int) -> None:
    model = MarginMaximizationDefense().network(preset)
    assert model(noise(3).inputs).shape == (3, 10)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert not model.rejects


@pytest.mark.parametrize("preset", [name for name in PRESETS if name.startswith("paper")])
def test_the_networks_of_the_thesis_ship_no_weights(preset: str) -> None:
    with pytest.raises(MissingWeights, match="train"):
        build(preset)


@pytest.mark.parametrize("preset", SHIPPING)
def test_shipped_weights(preset: str) -> None:
    path = PRESETS[preset].weights
    assert path is not None
    assert path.stat().st_size < 1_100_000
    record = json.loads(path.with_suffix(".json").read_text(encoding="ascii"))
    assert record["command"][:3] == ["advplug", "train", "margin-maximization"]
    assert (record["preset"], record["seed"]) == (preset, 0)
    assert record["metrics"]["accuracy"] > 0.96
    assert not build(preset).training


@pytest.mark.parametrize("preset", SHIPPING)
def test_digits_are_recognised(preset: str, digits: Images) -> None:
    assert accuracy(build(preset), digits.inputs, digits) >= (0.92 if "-mlp" in preset else 0.94)


@pytest.mark.parametrize(("preset", "control"), CONTROLS.items())
def test_the_penalty_makes_margins_wider(preset: str, control: str, digits: Images) -> None:
    def relative_sensitivity(name: str) -> float:
        model, x = build(name), digits.inputs[:50].clone().requires_grad_()
        logits = model(x)
        return (margin_sensitivity(logits, x, digits.labels[:50], "l2").mean() / logits.std()).item()

    assert relative_sensitivity(preset) < (0.9 if preset == "mnist-lenet" else 0.8) * relative_sensitivity(control)
    assert under_fgsm(preset, digits) > under_fgsm(control, digits) + 0.1
    assert under_pgd(preset, 1.5, digits) > under_pgd(control, 1.5, digits) + 0.1


def test_training_is_deterministic() -> None:
    def train(seed: int) -> dict[str, torch.Tensor]:
        defense = MarginMaximizationDefense()
        model = defense.train("mnist", noise(40), seed=seed, device="cpu", on_epoch=lambda *_: None)
        return dict(model.state_dict())

    first, again, other = train(3), train(3), train(4)
    for name, value in first.items():
        assert torch.equal(value, again[name]), name
    assert not torch.equal(first["layers.0.weight"], other["layers.0.weight"])
