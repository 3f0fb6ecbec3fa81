"""The presets and the training of the detectors."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from advplug_defense_aat import AAT, Generative, Integrated, OneClassModel
from advplug_defense_aat._detectors import SideBySide
from advplug_defense_aat._training import Asymmetrical
from torch import Tensor

from advplug import load
from advplug.data import Images
from advplug.errors import MissingWeights
from advplug.training import Adversary, Batch, seeded

SHIPPING = [name for name, preset in AAT.presets.items() if preset.weights is not None]


def noise(count: int, classes: int = 10) -> Images:
    inputs = torch.rand(count, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    return Images(inputs, torch.arange(count) % classes, tuple("0123456789"), "noise")


def asymmetrical(steps: int = 2) -> Asymmetrical:
    return Asymmetrical(adversary=Adversary(epsilon=0.3, step_size=0.1, steps=steps), each=4)


def step(classes: int, loss: Asymmetrical) -> tuple[SideBySide, Tensor]:
    detectors = seeded(0, lambda: SideBySide(1, 28, (2,), 3))
    data = noise(20, classes)
    value, _ = loss(detectors, Batch(data.inputs, data.labels, None, torch.Generator().manual_seed(1)))
    return detectors, value


def test_the_adversary_raises_the_scores_of_other_classes() -> None:
    weak, strong = (float(step(10, asymmetrical(steps))[1].detach()) for steps in (0, 5))
    assert strong > weak


@pytest.mark.parametrize("classes", [1, 3])
def test_a_batch_may_lack_classes(classes: int) -> None:
    detectors, value = step(classes, asymmetrical())
    last = detectors.layers[-2]
    assert isinstance(last, torch.nn.Conv2d)
    assert last.bias is not None
    (gradient,) = torch.autograd.grad(value, last.bias)
    assert value.isfinite()
    assert (gradient[classes:] > 0).all(), "detectors without images of their class only learn to reject"


def test_images_of_the_own_class_are_not_attacked() -> None:
    seen: list[Tensor] = []

    class Watched(SideBySide):
        def apart(self, stack: Tensor) -> Tensor:
            seen.append(stack)
            return super().apart(stack)

    data = noise(20)
    detectors = Watched(1, 28, (2,), 3)
    asymmetrical()(detectors, Batch(data.inputs, data.labels, None, torch.Generator().manual_seed(1)))
    members, attacked = seen[-2].detach().chunk(2)  # the last pass is that of the clean batch
    for number in range(10):
        own, others = data.inputs[data.labels == number], data.inputs[data.labels != number]
        for image in members[:, number]:
            assert (own[:, 0] == image).flatten(1).all(1).any()
        for image in attacked[:, number]:
            distance = (others[:, 0] - image).flatten(1).abs().amax(1).min()
            assert 0 < distance <= 0.3 + 1e-6


@pytest.mark.parametrize("preset", SHIPPING)
def test_shipped_weights(preset: str) -> None:
    path = AAT.presets[preset].weights
    assert path is not None
    record = json.loads(path.with_suffix(".json").read_text(encoding="ascii"))
    assert record["command"][:3] == ["advplug", "train", "aat"]
    assert (record["preset"], record["seed"]) == (preset.removesuffix("-generative"), 0)
    data, least = ("cifar10-train", 0.4) if "cifar10" in preset else ("mnist-shipped", 0.95)
    assert record["data"] == data
    assert record["metrics"]["accuracy"] > least


@pytest.mark.parametrize(("preset", "least"), [("mnist", 0.9), ("mnist-generative", 0.85)])
def test_a_twentieth_of_clean_digits_is_lost(preset: str, least: float) -> None:
    model, digits = AAT().build(preset), load("data:mnist")().load("shipped", 1000)
    decision = model.decide(digits.inputs)
    right = decision.labels == digits.labels
    assert 0.02 <= float((right & ~decision.accepted).double().mean()) <= 0.09
    assert float((right & decision.accepted).double().mean()) >= least


@pytest.mark.parametrize(("preset", "shape"), [("mnist", (1, 28, 28)), ("cifar10", (3, 32, 32))])
def test_both_modes_share_their_detectors(preset: str, shape: tuple[int, ...]) -> None:
    integrated, generative = AAT().build(preset), AAT().build(f"{preset}-generative")
    assert isinstance(integrated, Integrated)
    assert isinstance(generative, Generative)
    x = torch.rand(3, *shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(integrated.detectors(x), generative(x))
    assert not torch.equal(integrated.thresholds, generative.thresholds)


@pytest.mark.parametrize(("preset", "networks"), [("paper", 11), ("paper-generative", 10)])
def test_the_authors_networks_ship_no_weights(preset: str, networks: int) -> None:
    with torch.device("meta"):  # they take two gigabytes
        model = AAT().network(preset)
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == networks * 45_901_914
    training = AAT.configurations[preset].training
    assert {training.learning_rate_at(number, 16) for number in (0, 39_999)} == {1e-3}
    with pytest.raises(MissingWeights, match="train"):
        AAT().build(preset)


def test_training_is_deterministic(monkeypatch: pytest.MonkeyPatch) -> None:
    short = {
        name: replace(chosen, training=replace(chosen.training, epochs=2))
        for name, chosen in AAT.configurations.items()
    }
    monkeypatch.setattr(AAT, "configurations", short)

    def train(preset: str, seed: int) -> OneClassModel:
        model = AAT().train(preset, noise(20), seed=seed, device="cpu", on_epoch=lambda *_: None)
        assert isinstance(model, OneClassModel)
        return model

    first, again, other = train("mnist", 3), train("mnist-generative", 3), train("mnist", 4)
    for name, value in first.detectors.state_dict().items():
        assert torch.equal(value, again.detectors.state_dict()[name]), name
    assert not torch.equal(first.detectors.taus, other.detectors.taus)
