"""A model behind transformations."""

from __future__ import annotations

import pytest
import torch
from advplug_defense_adversarial_training import AdversarialTraining
from advplug_defense_input_transformations import JPEG, BitDepth, InputTransformations, InputTransformed, ResizePad
from torch import nn

from advplug import load
from advplug.data import Images
from advplug.errors import InvalidInput
from advplug.model import Decision, DefendedModel, PlainModel


class Linear(DefendedModel):
    """A linear model with bounds of its own."""

    def __init__(self, bounds: tuple[float, float] = (-1.0, 1.0)) -> None:
        super().__init__(3, bounds)
        torch.manual_seed(0)
        self.layer = nn.Linear(8 * 8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.layer(x.flatten(1))
        return scores


class Rejecting(Linear):
    def decide(self, x: torch.Tensor) -> Decision:
        decision = super().decide(x)
        return Decision(decision.labels, decision.labels > 0)


class Softmax(Linear):
    outputs = "probabilities"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).softmax(1)


def images() -> torch.Tensor:
    return 2 * torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(1)) - 1


@torch.no_grad()
def test_transformations_follow_each_other_within_the_bounds_of_the_model() -> None:
    net, x = Linear(), images()
    seen = 2 * BitDepth(2)(JPEG(60)((x + 1) / 2)) - 1
    model = InputTransformed(net, JPEG(60), BitDepth(2))
    torch.testing.assert_close(model(x), net(seen))
    torch.testing.assert_close(model.surrogate(x), model(x))
    assert not model.stochastic
    assert torch.equal(model.sample(x, torch.Generator()), model(x))


@torch.no_grad()
def test_draws_are_averaged_as_probabilities() -> None:
    net, x = Linear(), images()
    model = InputTransformed(net, ResizePad(6), draws=5)
    assert model.stochastic
    torch.manual_seed(0)
    found = model(x)
    torch.manual_seed(0)
    answers = net(model.transformed(x.repeat(5, 1, 1, 1))).softmax(1)
    torch.testing.assert_close(found.exp(), answers.view(5, 4, 3).mean(0))
    torch.testing.assert_close(InputTransformed(Softmax(), JPEG())(x), InputTransformed(net, JPEG())(x).log_softmax(1))


def test_what_cannot_be_transformed_is_refused() -> None:
    net = Linear()
    with pytest.raises(InvalidInput, match="PlainModel"):
        InputTransformed(net.layer, JPEG())  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="around the transformations"):
        InputTransformed(Rejecting(), JPEG())
    with pytest.raises(InvalidInput, match="at least one"):
        InputTransformed(net)
    with pytest.raises(InvalidInput, match="draws is 2"):
        InputTransformed(net, JPEG(), draws=2)
    assert InputTransformed(PlainModel(net, 3, (-1.0, 1.0)), JPEG())(images()).shape == (4, 3)


@torch.no_grad()
def test_digits_stay_recognisable_behind_every_preset() -> None:
    digits: Images = load("data:mnist")().load("shipped", 60)
    defense = InputTransformations()
    for name, preset in defense.presets.items():
        if preset.data == "mnist":
            model = defense.build(name)
            torch.manual_seed(0)
            assert (model(digits.inputs).argmax(1) == digits.labels).float().mean() >= 0.8, name


@pytest.mark.parametrize("preset", ["mnist-tv", "mnist-quilting"])
def test_retrained_networks_know_their_transformation(preset: str) -> None:
    digits: Images = load("data:mnist")().load("shipped", 200)
    defense = InputTransformations()

    seen = defense.build(f"{preset}-retrained").sample(digits.inputs, torch.Generator().manual_seed(0))
    (same,), (one,) = (defense.configuration(f"{preset}{end}").transformations for end in ("", "-retrained"))
    assert type(one) is type(same)
    assert (seen.argmax(1) == digits.labels).float().mean() >= 0.9


def test_retraining_shows_the_network_transformed_images_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    digits: Images = load("data:mnist")().load("shipped", 20)
    seen: list[Images] = []

    def train(self: AdversarialTraining, preset: str, data: Images, **_: object) -> DefendedModel:
        seen.append(data)
        return self.network(preset)

    monkeypatch.setattr(AdversarialTraining, "train", train)
    defense = InputTransformations()
    for preset in ("mnist-tv", "mnist-tv-retrained"):
        defense.train(preset, digits, seed=3, device="cpu", on_epoch=lambda *_: None)
    transformed = defense.network("mnist-tv").transformed(digits.inputs, torch.Generator().manual_seed(3))  # type: ignore[operator]
    assert torch.equal(seen[0].inputs, digits.inputs)
    assert torch.equal(seen[1].inputs, transformed)
    assert torch.equal(seen[1].labels, digits.labels)


def test_the_network_is_that_of_adversarial_training_and_is_trained_by_it() -> None:
    digits: Images = load("data:mnist")().load("shipped", 20)
    plain = load("defense:adversarial-training")().build("mnist").state_dict()
    defense = InputTransformations()
    built = defense.trained_part("mnist-jpeg", defense.build("mnist-jpeg")).state_dict()
    assert all(torch.equal(built[name], value) for name, value in plain.items())
    trained = defense.train("mnist-jpeg", digits, seed=0, device="cpu", on_epoch=lambda *_: None)
    fresh = defense.trained_part("mnist-jpeg", trained).state_dict()
    assert not all(torch.equal(fresh[name], value) for name, value in plain.items())
