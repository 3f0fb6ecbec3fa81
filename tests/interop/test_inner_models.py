"""Torch modules inside models of Foolbox and ART: left as they are, and honoured in what they declare and reject."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import foolbox
import pytest
import torch
from advplug_attack_pgd import PGD
from art.estimators.certification.randomized_smoothing import PyTorchRandomizedSmoothing
from art.estimators.classification import (
    EnsembleClassifier,
    PyTorchClassifier,
    QueryEfficientGradientEstimationClassifier,
)
from art.estimators.classification.classifier import ClassifierMixin
from foolbox.models import wrappers
from foolbox.models.base import Model
from torch import Tensor, nn

from advplug.api import run
from advplug.attack import Attack
from advplug.engine.gateway import Gateway
from advplug.errors import InvalidInput
from advplug.gradients import BPDA
from advplug.interop.art import as_art_attack, as_art_detector, from_art_classifier, from_art_detector
from advplug.interop.foolbox import as_foolbox_model, from_foolbox_model
from advplug.model import Decision, DefendedModel, PlainModel
from advplug.threat import ThreatModel

Blobs = tuple[Tensor, Tensor]
EPSILON = 0.08
ATTACK: Attack = PGD(steps=8)


class Around(nn.Module):
    """A module that does something else around a network."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Any:
        return self.network(x)


class InPlace(Around):
    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.network(x.mul_(2).sub_(0.5)))


class Entry(Around):
    def forward(self, x: Tensor) -> Any:
        return {"logits": self.network(x), "features": x}


class Attribute(Around):
    def forward(self, x: Tensor) -> Any:
        return SimpleNamespace(logits=self.network(x))


class OneSize(Around):
    def forward(self, x: Tensor) -> Any:
        if len(x) != 3:
            raise RuntimeError("three inputs at once")
        return self.network(x)


class Pair(Around):
    def forward(self, x: Tensor) -> Any:
        return self.network(x), x


class Stepped(Around):
    """No gradient but that of its surrogate."""

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.network((x * 50).round() / 50))

    def surrogate(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.network(x))

    def features(self, x: Tensor) -> Tensor:
        return x


class Gridded(DefendedModel):
    """Accepts inputs on a grid alone."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__(4)
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.network(x))

    def decide(self, x: Tensor) -> Decision:
        return Decision(self(x).argmax(1), ((x * 100) - (x * 100).round()).abs().amax(1) < 1e-3)


class Halved(Model):  # type: ignore[misc]
    """A layer of a user's own, which changes scores."""

    def __init__(self, model: Any) -> None:
        self._model = model

    @property
    def bounds(self) -> Any:
        return self._model.bounds

    def __call__(self, inputs: Any) -> Any:
        return self._model(inputs) / 2


def in_art(module: nn.Module, **options: Any) -> PyTorchClassifier:
    return PyTorchClassifier(module, nn.CrossEntropyLoss(), (12,), 4, clip_values=(0, 1), **options)


def together(classifier: PyTorchClassifier) -> EnsembleClassifier:
    return EnsembleClassifier([classifier] * 2, channels_first=True, clip_values=(0, 1))


def in_foolbox(module: nn.Module, **options: Any) -> Any:
    return foolbox.PyTorchModel(module.eval(), bounds=(0, 1), device="cpu", **options)


def broken(fmodel: Any, inputs: Tensor, labels: Tensor, **options: Any) -> Tensor:
    return cast(Tensor, ATTACK(fmodel, inputs, labels, epsilons=EPSILON, **options)[2])


def broken_by_run(module: nn.Module, inputs: Tensor, labels: Tensor, **options: Any) -> Tensor:
    result = run(ATTACK, module, inputs, labels, ThreatModel("linf", EPSILON), **options)
    return cast(Tensor, result.success | ~result.correct)


def test_a_module_that_changes_its_argument_changes_no_image(network: nn.Module, blobs: Blobs) -> None:
    inputs, kept = blobs[0][:20].clone(), blobs[0][:20]
    module = InPlace(network).eval()
    labels = module(inputs.clone()).argmax(1)
    found = [broken(in_foolbox(module), inputs, labels) for _ in range(3)]
    assert torch.equal(inputs, kept)
    assert all(torch.equal(one, broken_by_run(module, inputs, labels)) for one in found)


def test_statistics_and_random_state_stay(few: Blobs) -> None:
    module = nn.Sequential(nn.Linear(12, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 4))
    fmodel = in_foolbox(module)
    module.train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    state = torch.get_rng_state()
    broken(fmodel, *few)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert all(part.training for part in module.modules())
    assert all(parameter.requires_grad for parameter in module.parameters())


def test_inputs_of_another_dtype(network: nn.Module, blobs: Blobs) -> None:
    inputs, labels = blobs
    points, _, success = ATTACK(in_foolbox(network), inputs.double(), labels, epsilons=EPSILON)
    assert points.dtype == torch.float64
    assert torch.equal(success, broken(in_foolbox(network), inputs, labels))


@pytest.mark.parametrize("kind", [Entry, Attribute, OneSize])
def test_answers_in_every_form(kind: type[Around], network: nn.Module, few: Blobs) -> None:
    success = broken(in_foolbox(kind(network)), *few)
    assert torch.equal(success, broken(in_foolbox(network), *few))
    assert success.any()


def test_several_scores_are_named(network: nn.Module, few: Blobs) -> None:
    with pytest.raises(InvalidInput, match="PlainModel"):
        broken(in_foolbox(Pair(network)), *few)
    named = as_foolbox_model(PlainModel(Pair(network), 4, output=0).eval())
    assert torch.equal(broken(named, *few), broken(in_foolbox(network), *few))


def test_a_network_in_half_precision_is_searched_in_single(network: nn.Module, blobs: Blobs) -> None:
    half = nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 4))
    half.load_state_dict(network.state_dict())
    model = from_foolbox_model(in_foolbox(half.bfloat16()), num_classes=4)
    with Gateway(model, blobs[0][:1]) as gateway:
        assert gateway.searched is not model
        assert gateway.searched(blobs[0]).dtype == torch.float32


@pytest.mark.parametrize(
    "made",
    [
        in_foolbox,
        lambda model: in_foolbox(model).transform_bounds((0, 1), wrapper=True),
    ],
)
def test_a_model_that_rejects_keeps_its_detector(
    made: Callable[[DefendedModel], Any], network: nn.Module, blobs: Blobs
) -> None:
    model = Gridded(network).eval()
    inputs = (blobs[0] * 100).round() / 100
    labels = model(inputs).argmax(1)
    assert ATTACK(in_foolbox(network), inputs, labels, epsilons=0.0555)[2].any()
    assert not ATTACK(made(model), inputs, labels, epsilons=0.0555)[2].any()


def test_detectors_under_preprocessing_of_foolbox(network: nn.Module, blobs: Blobs) -> None:
    inputs = (blobs[0] * 100).round() / 100
    assert (
        from_foolbox_model(wrappers.ThresholdingWrapper(in_foolbox(Gridded(network)), 0.5))
        .decide(inputs)
        .accepted.all()
    )
    model = from_foolbox_model(in_foolbox(Gridded(network), preprocessing={"mean": [0.005] * 12}))
    assert model.num_classes == 4
    assert not model.decide(inputs).accepted.any()
    assert model.decide(inputs + 0.005).accepted.all()
    assert torch.equal(model.decide(inputs).labels, model(inputs).argmax(1))


def test_layers_that_know_no_decisions_are_refused(network: nn.Module) -> None:
    layers: list[Any] = [Halved]
    if hasattr(wrappers, "ExpectationOverTransformationWrapper"):
        layers.append(wrappers.ExpectationOverTransformationWrapper)
    for layer in layers:
        with pytest.raises(InvalidInput, match=rf"{layer.__name__} .*as_foolbox_model"):
            from_foolbox_model(layer(as_foolbox_model(Gridded(network).eval())), num_classes=4)
        assert from_foolbox_model(layer(in_foolbox(network)), num_classes=4).num_classes == 4
    member = in_art(Gridded(network).eval())
    black_box = QueryEfficientGradientEstimationClassifier(member, 2, 0.1)
    for classifier in (together(member), black_box):
        with pytest.raises(InvalidInput, match=rf"{type(classifier).__name__} .*attack"):
            from_art_classifier(classifier)


def test_a_layer_of_the_users_own_decides(network: nn.Module, few: Blobs) -> None:
    model = from_foolbox_model(Halved(in_foolbox(Stepped(network))), num_classes=4)
    assert torch.equal(model(few[0]), Stepped(network)(few[0]) / 2)
    assert model.capabilities.surrogate is None
    assert torch.equal(broken(Halved(in_foolbox(network)), *few), broken(in_foolbox(network), *few))


def test_what_a_model_behind_a_detector_declares_holds(network: nn.Module, few: Blobs) -> None:
    model = PlainModel(Stepped(network), 4).eval()
    detected = from_art_detector(model, as_art_detector(Gridded(network).eval()))
    assert detected.capabilities.surrogate is not None
    torch.testing.assert_close(detected.capabilities.surrogate(few[0]), network(few[0]))


def test_votes_have_the_gradient_of_the_surrogate(network: nn.Module, few: Blobs) -> None:
    settings = {"clip_values": (0, 1), "sample_size": 10, "alpha": 1.0, "device_type": "cpu"}
    loss = nn.CrossEntropyLoss()
    smoothed = PyTorchRandomizedSmoothing(Stepped(network).eval(), loss, (12,), 4, scale=0.05, **settings)
    surrogate = from_art_classifier(smoothed).capabilities.surrogate
    assert surrogate is not None
    x = few[0].clone().requires_grad_()
    surrogate(x).sum().backward()
    assert x.grad is not None
    assert x.grad.any()


PREPROCESSING = ([0.05], [1.25])


def test_what_a_module_declares_holds_in_foolbox(network: nn.Module, blobs: Blobs) -> None:
    inputs, module = blobs[0], Stepped(network).eval()
    mean, std = PREPROCESSING
    labels = module((inputs - 0.05) / 1.25).argmax(1)
    fmodel = in_foolbox(module, preprocessing={"mean": mean, "std": std})
    model = from_foolbox_model(fmodel, num_classes=4)
    assert model.capabilities.features is not None
    torch.testing.assert_close(model.capabilities.features(inputs), (inputs - 0.05) / 1.25)
    success = broken(fmodel, inputs, labels, gradient=BPDA())
    bare = ATTACK(in_foolbox(module), inputs, module(inputs).argmax(1), epsilons=EPSILON, gradient=BPDA())[2]
    assert torch.equal(bare, broken_by_run(module, inputs, module(inputs).argmax(1), gradient=BPDA()))
    assert int(success.sum()) > int(broken(fmodel, inputs, labels).sum())


@pytest.mark.parametrize("several", [False, True])
def test_what_a_module_declares_holds_in_art(several: bool, network: nn.Module, blobs: Blobs) -> None:
    inputs, module = blobs[0], Stepped(network).eval()
    labels = module((inputs - 0.05) / 1.25).argmax(1)
    classifier: ClassifierMixin = in_art(module, preprocessing=(0.05, 1.25))
    if several:
        classifier = together(in_art(module, preprocessing=(0.05, 1.25)))
    attack = as_art_attack(ATTACK, classifier, threat=ThreatModel("linf", EPSILON), gradient=BPDA())
    found = torch.from_numpy(attack.generate(inputs.numpy(), labels.numpy()))
    fmodel = in_foolbox(module, preprocessing={"mean": PREPROCESSING[0], "std": PREPROCESSING[1]})
    expected = broken(fmodel, inputs, labels, gradient=BPDA())
    success = module((found - 0.05) / 1.25).argmax(1) != labels
    assert success.any()
    assert int((success != expected).sum()) <= 2  # the two round in another order


def test_a_module_that_says_that_it_is_random_is(network: nn.Module) -> None:
    module = Around(network).eval()
    module.stochastic = True  # type: ignore[assignment]
    assert from_foolbox_model(in_foolbox(module), num_classes=4).stochastic
    assert not from_foolbox_model(in_foolbox(module), num_classes=4, stochastic=False).stochastic
    assert from_art_classifier(in_art(module)).stochastic
    assert not from_art_classifier(in_art(module), stochastic=False).stochastic


def test_probabilities_stay_probabilities(network: nn.Module) -> None:
    model = PlainModel(nn.Sequential(network, nn.Softmax(1)), 4).eval()
    model.outputs = "probabilities"  # type: ignore[misc]
    fmodel = in_foolbox(model).transform_bounds((-1, 1))
    assert from_foolbox_model(fmodel).outputs == "probabilities"
    assert from_art_classifier(in_art(model, preprocessing=(0.05, 1.25))).outputs == "probabilities"
