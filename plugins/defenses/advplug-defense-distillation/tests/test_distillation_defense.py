"""The presets of distillation: networks, losses, shipped weights, and how large the logits of a student are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from advplug_defense_distillation._defense import TEMPERATURES, Distillation
from advplug_defense_distillation._distillation import distilled
from torch import Tensor

import advplug
from advplug.data import Images
from advplug.errors import MissingWeights
from advplug.families import SequentialModel
from advplug.training import Batch, Tempered, TrainingConfig, cross_entropy

SHIPPING = [name for name, preset in Distillation.presets.items() if preset.weights is not None]


def noise(preset: str, count: int) -> Images:
    shape = (1, 28, 28) if Distillation.presets[preset].data == "mnist" else (3, 32, 32)
    inputs = torch.rand(count, *shape, generator=torch.Generator().manual_seed(0))
    return Images(inputs, torch.arange(count) % 10, tuple("0123456789"), "noise")


def test_presets() -> None:
    digits = {f"mnist{suffix}" for suffix in TEMPERATURES}
    assert set(SHIPPING) == digits | {"cifar10", "cifar10-plain"}
    assert set(Distillation.presets) == set(Distillation.configurations) == {*SHIPPING, "paper", "paper-cifar10"}
    heat = {name: configuration.training.loss for name, configuration in Distillation.configurations.items()}
    assert heat["mnist"] == heat["cifar10"] == heat["paper"] == heat["paper-cifar10"] == Tempered(100.0)
    assert heat["mnist-t10"] == Tempered(10.0)
    assert heat["mnist-plain"] is heat["cifar10-plain"] is cross_entropy


@pytest.mark.parametrize("preset", Distillation.presets)
def test_networks(preset: str) -> None:
    model = Distillation().network(preset).eval()
    assert model(noise(preset, 3).inputs).shape == (3, 10)
    if preset.startswith("paper"):
        with pytest.raises(MissingWeights, match="train"):
            Distillation().build(preset)


@pytest.mark.parametrize(("preset", "weights"), [("paper", 312_202), ("paper-cifar10", 1_147_978)])
def test_the_published_networks(preset: str, weights: int) -> None:
    model = Distillation().network(preset).eval()
    assert sum(parameter.numel() for parameter in model.parameters()) == weights
    assert isinstance(model, SequentialModel)
    x = noise(preset, 2).inputs
    assert torch.equal(model(x), model.layers(x - 0.5))
    training = Distillation.configurations[preset].training
    assert (training.epochs, training.batch_size, training.optimiser) == (50, 128, "nesterov")
    assert {training.learning_rate_at(step, 10) for step in range(500)} == {0.01}


@pytest.mark.parametrize("preset", SHIPPING)
def test_shipped_weights(preset: str) -> None:
    path = Distillation.presets[preset].weights
    assert path is not None
    assert path.stat().st_size < 300_000
    record = json.loads(path.with_suffix(".json").read_text(encoding="ascii"))
    assert record["command"][:3] == ["advplug", "train", "distillation"]
    assert record["preset"] == preset
    # The undefended network, from which attacks transfer, shares no initial weights with the others.
    assert record["seed"] == (1 if preset.endswith("-plain") else 0)
    assert not record["settings"]


@pytest.mark.parametrize("preset", [name for name in SHIPPING if name.startswith("mnist")])
def test_digits_are_recognised(preset: str) -> None:
    digits = advplug.load("data:mnist")().load("shipped", 300)
    with torch.no_grad():
        found = Distillation().build(preset)(digits.inputs).argmax(1)
    assert (found == digits.labels).float().mean() >= 0.95


def test_logits_grow_with_the_temperature() -> None:
    digits = advplug.load("data:mnist")().load("shipped", 300)
    sizes = []
    for preset in ("mnist-plain", "mnist-t10", "mnist-t30", "mnist"):
        with torch.no_grad():
            sizes.append(Distillation().build(preset)(digits.inputs).amax(1).mean().item())
    assert sizes == sorted(sizes)
    assert 30 <= sizes[-1] / sizes[0] <= 150


class Watched(Tempered):
    """Notes the soft labels of each batch, and the weights before the step."""

    def __call__(self, model: torch.nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        SEEN.append((batch.soft, model.state_dict()["layers.0.weight"].clone()))
        return super().__call__(model, batch)


SEEN: list[tuple[Tensor | None, Tensor]] = []


def test_a_student_learns_what_the_teacher_answers_from_the_same_weights() -> None:
    SEEN.clear()
    data, epochs, steps = noise("mnist", 32), [], 2
    training = TrainingConfig(epochs=1, learning_rate=1e-3, batch_size=16, optimiser="adam")

    def note(epoch: int, whole: int, _: Mapping[str, float]) -> None:
        epochs.append((epoch, whole))

    first = Distillation().initial("mnist", data, 0)
    student = distilled(first, data, training, Watched(5.0), seed=0, device="cpu", on_epoch=note)
    assert epochs == [(1, 3), (2, 3), (3, 3)]
    assert student is first
    teacher, learner = SEEN[:steps], SEEN[steps:]
    assert torch.equal(teacher[0][1], learner[0][1])
    assert not torch.equal(teacher[1][1], learner[0][1])
    assert [labels for labels, _ in teacher] == [None] * steps
    for labels, _ in learner:
        assert labels is not None
        torch.testing.assert_close(labels.sum(1), torch.ones(16))
        assert labels.max() < 0.5, "five times cooler than logits near zero"


@pytest.mark.parametrize("preset", ["mnist", "mnist-plain", "cifar10"])
def test_training_is_deterministic(preset: str) -> None:
    def train(seed: int) -> dict[str, Tensor]:
        defense = Distillation().trained_with(preset, epochs=1)
        model = defense.train(preset, noise(preset, 40), seed=seed, device="cpu", on_epoch=lambda *_: None)
        return dict(model.state_dict())

    state = torch.get_rng_state()
    first, again, other = train(3), train(3), train(4)
    assert torch.equal(torch.get_rng_state(), state)
    for name, value in first.items():
        assert torch.equal(value, again[name]), name
    assert not torch.equal(first["layers.0.weight"], other["layers.0.weight"])


def test_dropout_of_the_published_network_is_fixed_by_the_seed() -> None:
    short = replace(Distillation.configurations["paper"].training, epochs=1)

    def train() -> Tensor:
        defense = Distillation().trained_with("paper", epochs=short.epochs)
        model = defense.train("paper", noise("paper", 8), seed=0, device="cpu", on_epoch=lambda *_: None)
        return model.state_dict()["layers.0.weight"]

    assert torch.equal(train(), train())
