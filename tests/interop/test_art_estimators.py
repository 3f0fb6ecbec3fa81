"""ART's estimators that are more than a network's forward pass: what they answer is what is attacked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import art
import numpy as np
import pytest
import scipy.stats
import torch
from advplug_attack_pgd import PGD
from advplug_attack_square import Square
from art.defences.postprocessor import ReverseSigmoid
from art.estimators.certification.randomized_smoothing import PyTorchRandomizedSmoothing
from art.estimators.classification import (
    BlackBoxClassifier,
    BlackBoxClassifierNeuralNetwork,
    DetectorClassifier,
    EnsembleClassifier,
    PyTorchClassifier,
    QueryEfficientGradientEstimationClassifier,
    SklearnClassifier,
)
from art.estimators.classification.scikitlearn import ScikitlearnClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor, nn

from advplug.api import run
from advplug.errors import InvalidInput, NoGradient
from advplug.gradients import BPDA, EOT, FiniteDifference
from advplug.interop.art import as_art_attack, from_art_classifier
from advplug.interop.art.answers import AnsweringModel, EnsembleModel
from advplug.losses import LogMargin
from advplug.threat import ThreatModel

Blobs = tuple[Tensor, Tensor]
THREAT = ThreatModel("linf", 0.2)
SQUARE = Square(queries=100)


class Shifted(PyTorchClassifier):  # type: ignore[misc]
    """Answers the class after that of its network."""

    def predict(self, x: Any, batch_size: int = 128, training_mode: bool = False, **kwargs: Any) -> Any:
        return np.roll(super().predict(x, batch_size=batch_size), 1, axis=1)


class Dimmed(PyTorchClassifier):  # type: ignore[misc]
    """Changes its inputs where no list of preprocessors says so."""

    def _apply_preprocessing(self, x: Any, y: Any, fit: bool = False, no_grad: bool = True) -> tuple[Any, Any]:
        return x * np.float32(0.5), y


class Distance(nn.Module):
    """One score: how far the mean value is above a half, 20-fold."""

    def forward(self, x: Tensor) -> Tensor:
        return 20 * (x.flatten(1).mean(1, keepdim=True) - 0.5)


def torch_classifier(network: nn.Module, kind: Any = PyTorchClassifier, classes: int = 4, **options: Any) -> Any:
    settings = {"clip_values": (0.0, 1.0), "device_type": "cpu", **options}
    return kind(network, nn.CrossEntropyLoss(), (12,), classes, **settings)


def asked(network: nn.Module) -> Callable[[Any], Any]:
    return lambda x: network(torch.as_tensor(x)).detach().numpy()


def black_box(network: nn.Module) -> Any:
    return BlackBoxClassifier(asked(network), (12,), 4, clip_values=(0, 1))


def black_box_network(network: nn.Module) -> Any:
    return BlackBoxClassifierNeuralNetwork(asked(network), (12,), 4, clip_values=(0, 1))


def query_efficient(network: nn.Module) -> Any:
    return QueryEfficientGradientEstimationClassifier(torch_classifier(network), 4, 0.1, round_samples=1 / 16)


def shifted(network: nn.Module) -> Any:
    return torch_classifier(network, Shifted)


def dimmed(network: nn.Module) -> Any:
    return torch_classifier(network, Dimmed)


def patched(network: nn.Module) -> Any:
    classifier = torch_classifier(network)
    classifier.predict = lambda x, **kwargs: -PyTorchClassifier.predict(classifier, x)
    return classifier


def mixed_ensemble(network: nn.Module) -> Any:
    members = [torch_classifier(network), black_box_network(network)]
    return EnsembleClassifier(members, channels_first=True, clip_values=(0, 1))


ANSWERING = [black_box, black_box_network, query_efficient, shifted, dimmed, patched, mixed_ensemble]


@pytest.mark.parametrize("make", ANSWERING)
def test_what_predict_answers_is_attacked(make: Callable[[Any], Any], network: nn.Sequential, blobs: Blobs) -> None:
    inputs = blobs[0]
    estimator = make(network)
    model = from_art_classifier(estimator)
    assert isinstance(model, AnsweringModel)
    answers = estimator.predict(inputs.numpy())
    assert np.allclose(model(inputs).numpy(), answers, atol=1e-5)
    labels = answers.argmax(1)
    found = as_art_attack(SQUARE, estimator, threat=THREAT).generate(inputs.numpy(), labels)
    wrong = estimator.predict(found).argmax(1) != labels
    assert wrong.mean() > 0.2
    assert np.array_equal(wrong, (found != inputs.numpy()).any(1))
    with pytest.raises(NoGradient, match="AnsweringModel gives no gradient"):
        as_art_attack(PGD(steps=2), estimator, threat=THREAT).generate(inputs.numpy(), labels)
    estimated = as_art_attack(PGD(steps=5), estimator, threat=THREAT, gradient=FiniteDifference(0.05, 20))
    assert (estimator.predict(estimated.generate(inputs.numpy(), labels)).argmax(1) != labels).mean() > 0.2


def test_the_network_inside_is_left_as_it_was(network: nn.Sequential, blobs: Blobs) -> None:
    estimator = shifted(network)
    before = [p.clone() for p in network.parameters()]
    network.zero_grad()
    network.train()
    as_art_attack(SQUARE, estimator, threat=THREAT).generate(blobs[0].numpy(), blobs[1].numpy())
    assert network.training
    network.eval()
    assert all(p.grad is None and p.requires_grad for p in network.parameters())
    assert all(torch.equal(p, b) for p, b in zip(network.parameters(), before, strict=True))
    doubled = as_art_attack(SQUARE, estimator, threat=THREAT).generate(blobs[0].double().numpy(), blobs[1].numpy())
    assert doubled.dtype == np.float64


@pytest.mark.parametrize(
    "learner",
    [LogisticRegression(), RandomForestClassifier(10, random_state=0), KNeighborsClassifier()],
    ids=lambda learner: type(learner).__name__,
)
def test_scikit_learn(learner: Any, blobs: Blobs) -> None:
    x, y = blobs[0].numpy(), blobs[1].numpy()
    classifier = SklearnClassifier(learner.fit(x, y), clip_values=(0, 1))
    model = from_art_classifier(classifier)
    assert model.outputs == "probabilities"
    found = as_art_attack(SQUARE, classifier, threat=THREAT, loss=LogMargin()).generate(x, y)
    assert (classifier.predict(found).argmax(1) != y).mean() > (classifier.predict(x).argmax(1) != y).mean() + 0.2
    assert np.abs(found - x).max() <= 0.2 * (1 + 1e-5)
    assert from_art_classifier(ScikitlearnClassifier(learner, clip_values=(0, 1), use_logits=True)).outputs == "logits"


# --- ensembles ---


def test_an_ensemble_of_networks_has_their_gradients(network: nn.Sequential, blobs: Blobs) -> None:
    inputs, labels = blobs
    torch.manual_seed(1)
    other = nn.Sequential(nn.Linear(12, 4)).eval()
    members = [torch_classifier(network, preprocessing=(0.5, 0.5)), torch_classifier(other)]
    ensemble = EnsembleClassifier(members, classifier_weights=[0.75, 0.25], channels_first=True, clip_values=(0, 1))
    model = from_art_classifier(ensemble)
    assert isinstance(model, EnsembleModel)
    assert np.allclose(model(inputs).detach().numpy(), ensemble.predict(inputs.numpy()), atol=1e-5)
    x = inputs.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model(x)[:, 1].sum(), x)
    assert np.allclose(gradient.numpy(), ensemble.class_gradient(inputs.numpy(), label=1)[:, 0], atol=1e-5)
    network.zero_grad()
    answers = ensemble.predict(inputs.numpy()).argmax(1)
    found = as_art_attack(PGD(steps=10), ensemble, threat=THREAT).generate(inputs.numpy(), answers)
    assert (ensemble.predict(found).argmax(1) != answers).mean() > 0.5
    assert {id(p) for p in model.parameters()} == {id(p) for net in (network, other) for p in net.parameters()}
    assert not model.stochastic
    assert from_art_classifier(ensemble, stochastic=True).stochastic
    assert len(labels) == len(found)


def test_postprocessing_of_an_ensemble_decides(network: nn.Sequential, blobs: Blobs) -> None:
    post = ReverseSigmoid(beta=1.0, gamma=0.2)
    net = nn.Sequential(network, nn.Softmax(1)).eval()
    ensemble = EnsembleClassifier(
        [torch_classifier(net)], channels_first=True, clip_values=(0, 1), postprocessing_defences=post
    )
    model = from_art_classifier(ensemble)
    answers = ensemble.predict(blobs[0].numpy())
    assert np.allclose(model(blobs[0]).detach().numpy(), answers, atol=1e-5)
    assert not np.allclose(answers, net(blobs[0]).detach().numpy(), atol=1e-2)


# --- estimators that refuse ---


def test_the_last_class_of_a_detector_classifier_rejects(network: nn.Sequential, blobs: Blobs) -> None:
    inputs, labels = blobs
    positive = nn.Sequential(network, nn.Softmax(1)).eval()  # the detector multiplies the largest score
    estimator = DetectorClassifier(torch_classifier(positive), torch_classifier(Distance(), classes=2))
    model = from_art_classifier(estimator)
    assert (model.num_classes, model.rejects) == (4, True)
    scores = estimator.predict(inputs.numpy())
    decision = model.decide(inputs)
    assert np.array_equal(decision.accepted.numpy(), scores.argmax(1) != 4)
    assert np.array_equal(decision.labels.numpy(), scores[:, :4].argmax(1))
    assert 0 < decision.accepted.float().mean() < 1
    offers = model.capabilities
    assert offers.detector_scores is not None
    assert offers.thresholds is not None
    assert torch.equal(offers.detector_scores(inputs) > offers.thresholds, ~decision.accepted)
    result = run(SQUARE, model, inputs, labels, THREAT)
    found = estimator.predict(result.adversarials[result.success].numpy()).argmax(1)
    assert result.success.any()
    assert ((found != 4) & (found != labels[result.success].numpy())).all()
    targeted = ThreatModel("linf", 0.2, targeted=True)
    with pytest.raises(InvalidInput, match="the model has classes 0 to 3"):
        as_art_attack(SQUARE, estimator, threat=targeted).generate(inputs.numpy(), np.full(len(inputs), 4))


VOTES = pytest.mark.skipif(
    not hasattr(scipy.stats, "binom_test") and tuple(map(int, art.__version__.split(".")[:2])) < (1, 20),
    reason="this version of ART votes with a function that SciPy no longer has",
)


@VOTES
def test_a_smoothed_classifier_is_random_and_abstains(network: nn.Sequential, few: Blobs) -> None:
    inputs, labels = few
    settings = {"clip_values": (0, 1), "sample_size": 20, "alpha": 0.05, "device_type": "cpu"}
    smoothed = PyTorchRandomizedSmoothing(network, nn.CrossEntropyLoss(), (12,), 4, scale=0.3, **settings)
    model = from_art_classifier(smoothed)
    assert model.stochastic
    assert not from_art_classifier(smoothed, stochastic=False).stochastic
    np.random.seed(0)
    answers = smoothed.predict(inputs.numpy())
    np.random.seed(0)
    decision = model.decide(inputs)
    assert np.array_equal(decision.accepted.numpy(), answers.any(1))
    assert np.array_equal(decision.labels.numpy(), answers.argmax(1))
    assert 0 < decision.accepted.float().mean() < 1
    result = run(Square(queries=20), model, inputs, labels, THREAT, draws=4)
    assert result.success_rate.max() <= 1
    for point, label in zip(result.adversarials[result.success], labels[result.success], strict=True):
        votes = smoothed.predict(np.repeat(point[None].numpy(), 20, 0))
        assert (votes.any(1) & (votes.argmax(1) != int(label))).mean() > 0.2


@VOTES
def test_the_network_behind_the_votes_gives_gradients(network: nn.Sequential, few: Blobs) -> None:
    inputs, labels = few
    network.zero_grad()
    settings = {"clip_values": (0, 1), "sample_size": 10, "alpha": 1.0, "device_type": "cpu"}
    smoothed = PyTorchRandomizedSmoothing(
        network, nn.CrossEntropyLoss(), (12,), 4, scale=0.05, preprocessing=(0.0, 1.0), **settings
    )
    attack = PGD(steps=5, random_start=False)
    with pytest.raises(NoGradient):
        as_art_attack(attack, smoothed, threat=THREAT).generate(inputs.numpy(), labels.numpy())
    ours = as_art_attack(attack, smoothed, threat=THREAT, gradient=EOT(4, of=BPDA()), draws=3)
    found = ours.generate(inputs.numpy(), labels.numpy())
    np.random.seed(0)
    before, after = (smoothed.predict(x).argmax(1) != labels.numpy() for x in (inputs.numpy(), found))
    assert after.mean() > before.mean() + 0.4
    assert all(p.grad is None for p in network.parameters())


# --- what cannot be attacked ---


def test_what_is_refused(network: nn.Sequential, blobs: Blobs) -> None:
    for wrong in (network, object(), LogisticRegression(), None):
        with pytest.raises(InvalidInput, match="pass one of ART, such as PyTorchClassifier"):
            from_art_classifier(wrong)
    with pytest.raises(InvalidInput, match="no clip_values"):
        from_art_classifier(BlackBoxClassifier(asked(network), (12,), 4))
    assert from_art_classifier(BlackBoxClassifier(asked(network), (12,), 4), bounds=(0, 1)).bounds == (0, 1)
    unfitted = SklearnClassifier(LogisticRegression(), clip_values=(0, 1))
    with pytest.raises(InvalidInput, match="fit it first"):
        from_art_classifier(unfitted)
    one = QueryEfficientGradientEstimationClassifier(torch_classifier(network), 4, 0.1)
    one.predict = lambda x, **kwargs: np.zeros(len(x))
    with pytest.raises(InvalidInput, match=r"returned shape \(1,\), not \(1, 4\): give each class a score"):
        run(SQUARE, from_art_classifier(one), *blobs, THREAT)
