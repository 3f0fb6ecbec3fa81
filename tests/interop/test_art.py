"""ART in both directions, and its faults when its attacks run through ours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from advplug_attack_pgd import PGD
from art.attacks import EvasionAttack, evasion
from art.defences.detector.evasion import EvasionDetector
from art.defences.postprocessor import ClassLabels
from art.defences.preprocessor.preprocessor import Preprocessor, PreprocessorPyTorch
from art.defences.trainer import AdversarialTrainer
from art.estimators.classification import PyTorchClassifier
from torch import Tensor, nn

from advplug.api import run
from advplug.errors import InvalidInput
from advplug.interop.art import (
    ArtAttack,
    as_art_attack,
    as_art_classifier,
    as_art_detector,
    from_art_classifier,
    from_art_detector,
)
from advplug.interop.external import ExternalError
from advplug.losses import Margin
from advplug.model import Decision, DefendedModel, PlainModel
from advplug.threat import ThreatModel

Blobs = tuple[Tensor, Tensor]
STEPS = 20
CASES = {"linf": (0.1, 0.01, np.inf), "l2": (0.3, 0.03, 2)}


class Rejecting(PlainModel):
    def decide(self, x: Tensor) -> Decision:
        return Decision(self(x).argmax(1), x.flatten(1).mean(1) < 0.5)


class HighMean(EvasionDetector):  # type: ignore[misc]
    def fit(self, x: Any, y: Any, batch_size: int = 128, nb_epochs: int = 20, **kwargs: Any) -> None: ...

    def detect(self, x: Any, batch_size: int = 128, **kwargs: Any) -> tuple[dict[str, Any], Any]:
        return {}, x.reshape(len(x), -1).mean(1) >= 0.5


def plain_classifier(network: nn.Module, **options: Any) -> PyTorchClassifier:
    settings = {"clip_values": (0.0, 1.0), "device_type": "cpu", **options}
    return PyTorchClassifier(network, nn.CrossEntropyLoss(), (12,), 4, **settings)


def art_pgd(classifier: PyTorchClassifier, norm: str) -> EvasionAttack:
    epsilon, step, order = CASES[norm]
    return evasion.ProjectedGradientDescent(
        classifier, norm=order, eps=epsilon, eps_step=step, max_iter=STEPS, batch_size=200, verbose=False
    )


@pytest.mark.parametrize("norm", CASES)
def test_pgd_is_as_strong_as_art(norm: str, model: PlainModel, blobs: Blobs) -> None:
    inputs, labels = blobs
    epsilon, step, _ = CASES[norm]
    classifier = as_art_classifier(model, (12,))
    theirs = art_pgd(classifier, norm).generate(inputs.numpy(), labels.numpy())
    ours = as_art_attack(
        PGD(steps=STEPS, step_size=step, random_start=False), classifier, threat=ThreatModel(norm, epsilon)
    ).generate(inputs.numpy(), labels.numpy())
    their_success = classifier.predict(theirs).argmax(1) != labels.numpy()
    our_success = classifier.predict(ours).argmax(1) != labels.numpy()
    assert 0.1 < their_success.mean() < 0.9
    assert (our_success >= their_success).all()
    assert our_success.mean() - their_success.mean() <= 0.01
    assert ours.dtype == np.float32


@pytest.mark.parametrize("norm", CASES)
def test_art_attack_gives_what_art_gives(norm: str, model: PlainModel, blobs: Blobs) -> None:
    inputs, labels = blobs
    epsilon, step, _ = CASES[norm]
    points = art_pgd(as_art_classifier(model, (12,)), norm).generate(inputs.numpy(), labels.numpy())
    theirs = model(torch.as_tensor(points)).argmax(1) != labels
    model.zero_grad()
    pgd = ArtAttack("ProjectedGradientDescent", {"eps_step": step, "max_iter": STEPS})
    result = run(pgd, model, inputs, labels, ThreatModel(norm, epsilon))
    assert torch.equal(result.success, theirs & result.correct)
    right = result.correct
    assert torch.equal(result.backwards[right], torch.full_like(result.backwards[right], STEPS))
    assert bool((result.forwards[right] > STEPS).all())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())


def test_art_leaves_weight_gradients_and_ours_does_not(model: PlainModel, blobs: Blobs) -> None:
    inputs, labels = blobs[0].numpy(), blobs[1].numpy()
    model.zero_grad()
    classifier = as_art_classifier(model, (12,))
    as_art_attack(PGD(steps=2), classifier, threat=ThreatModel("linf", 0.1)).generate(inputs, labels)
    assert all(p.grad is None for p in model.parameters())
    marks = [torch.full_like(p, 7.0) for p in model.parameters()]
    for parameter, mark in zip(model.parameters(), marks, strict=True):
        parameter.grad = mark
    run(ArtAttack("FastGradientMethod"), model, *blobs, ThreatModel("linf", 0.1))
    run(ArtAttack("DeepFool", {"max_iter": 2}), model, *blobs, ThreatModel("l2"))
    assert all(p.grad is mark and bool((mark == 7).all()) for p, mark in zip(model.parameters(), marks, strict=True))
    model.zero_grad()
    evasion.FastGradientMethod(classifier, batch_size=200).generate(inputs, labels)
    assert any(p.grad is not None for p in model.parameters())  # the fault
    model.zero_grad()


def test_labels_in_every_form(model: PlainModel, blobs: Blobs) -> None:
    inputs, labels = blobs[0].numpy(), blobs[1].numpy()
    classifier = as_art_classifier(model, (12,))
    pgd = as_art_attack(PGD(steps=3), classifier, threat=ThreatModel("linf", 0.1))
    first = pgd.generate(inputs, labels)
    for y in (labels[:, None], np.eye(4)[labels], np.eye(4, dtype=np.float32)[labels], blobs[1]):
        assert np.array_equal(pgd.generate(inputs, y), first)
    answers = classifier.predict(inputs).argmax(1)
    assert np.array_equal(pgd.generate(inputs), pgd.generate(inputs, answers))
    tensors = pgd.generate(*blobs)
    assert isinstance(tensors, Tensor)
    assert np.array_equal(tensors.numpy(), first)
    assert pgd.generate(inputs.astype(np.float64), labels).dtype == np.float64
    with pytest.raises(InvalidInput, match="fractions"):
        pgd.generate(inputs, labels + 0.5)
    with pytest.raises(InvalidInput, match="cost_matrix"):
        pgd.generate(inputs, labels, cost_matrix=np.ones(12))


def test_targeted_in_art(model: PlainModel, blobs: Blobs) -> None:
    inputs, labels = blobs
    classifier = as_art_classifier(model, (12,))
    pgd = as_art_attack(PGD(steps=10), classifier, threat=ThreatModel("linf", 0.2, targeted=True))
    assert pgd.targeted
    targets = (labels + 1) % 4
    reached = classifier.predict(pgd.generate(inputs.numpy(), targets.numpy())).argmax(1) == targets.numpy()
    assert 0 < reached.mean() < 1
    answers = classifier.predict(inputs.numpy()).argmax(1)
    assert np.array_equal(pgd.generate(inputs.numpy(), answers), inputs.numpy())
    with pytest.raises(InvalidInput, match="target classes"):
        pgd.generate(inputs.numpy())


def test_parameters_are_arts(model: PlainModel, blobs: Blobs) -> None:
    classifier = as_art_classifier(model, (12,))
    pgd = as_art_attack(PGD(steps=3), classifier, threat=ThreatModel("linf", 0.1))
    assert isinstance(pgd, EvasionAttack)
    assert {"eps", "norm", "targeted", "seed", "steps", "step_size"} <= set(pgd.attack_params)
    pgd.set_params(eps=0.02, steps=5)
    moved = np.abs(pgd.generate(blobs[0].numpy(), blobs[1].numpy()) - blobs[0].numpy()).max()
    assert 0 < moved <= 0.02 * (1 + 1e-6)
    assert pgd._attack.parameters()["steps"] == 5
    assert "steps=5" in repr(pgd)
    with pytest.raises(InvalidInput):
        pgd.set_params(steps=0)
    with pytest.raises(ValueError, match="cannot be set"):
        pgd.set_params(stride=3)
    with pytest.raises(TypeError, match="unknown options"):
        as_art_attack(PGD(), classifier, threat=ThreatModel("linf", 0.1), stride=3)
    with pytest.raises(InvalidInput, match="clip_values"):
        as_art_attack(PGD(), classifier, threat=ThreatModel("linf", 0.1, (-1, 1)))


def test_a_refused_parameter_does_not_stay(model: PlainModel) -> None:
    classifier = as_art_classifier(model, (12,))
    pgd = as_art_attack(PGD(steps=3), classifier, threat=ThreatModel("linf", 0.1))
    for name, value in (("targeted", "False"), ("targeted", 1), ("steps", -1), ("eps", -0.1), ("norm", "l7")):
        before = getattr(pgd, name)
        with pytest.raises(ValueError, match=rf"^{name}"):
            pgd.set_params(**{name: value})
        assert getattr(pgd, name) == before


def test_worst_case_moves_samples_that_resist(model: PlainModel, blobs: Blobs) -> None:
    inputs, labels = blobs
    classifier = as_art_classifier(model, (12,))
    threat = ThreatModel("linf", 0.05)
    usual = as_art_attack(PGD(steps=5), classifier, threat=threat).generate(inputs, labels)
    worst = as_art_attack(PGD(steps=5), classifier, threat=threat, worst_case=True).generate(inputs, labels)
    right = model(inputs).argmax(1) == labels
    resisted = right & (model(worst).argmax(1) == labels)
    assert bool(resisted.any())
    assert torch.equal(usual[resisted], inputs[resisted])
    entropy = nn.CrossEntropyLoss(reduction="none")
    assert bool((entropy(model(worst), labels) > entropy(model(inputs), labels))[resisted].all())


def test_adversarial_training(network: nn.Sequential, blobs: Blobs) -> None:
    inputs, labels = blobs[0].numpy(), np.eye(4, dtype=np.float32)[blobs[1].numpy()]
    torch.manual_seed(0)
    net = PlainModel(nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 4)), 4)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    classifier = as_art_classifier(net, (12,), optimizer=optimizer)
    attack = as_art_attack(PGD(steps=3), classifier, threat=ThreatModel("linf", 0.05), worst_case=True)
    before = [p.clone() for p in net.parameters()]
    AdversarialTrainer(classifier, attack, ratio=0.5).fit(inputs, labels, batch_size=50, nb_epochs=1)
    assert all(not torch.equal(p, b) for p, b in zip(net.parameters(), before, strict=True))
    AdversarialTrainer(classifier, attack, ratio=1.0).fit(inputs, labels, batch_size=50, nb_epochs=15)
    assert (classifier.predict(inputs).argmax(1) == blobs[1].numpy()).mean() > 0.8


# --- models ---


def test_classifier_round_trip(model: PlainModel, network: nn.Sequential, blobs: Blobs) -> None:
    classifier = as_art_classifier(model, (12,))
    assert np.allclose(classifier.clip_values, (0, 1))
    assert from_art_classifier(classifier) is model
    scaled = plain_classifier(network, preprocessing=(0.5, 0.25))
    ours = from_art_classifier(scaled)
    assert np.allclose(ours(blobs[0]).detach().numpy(), scaled.predict(blobs[0].numpy()), atol=1e-5)
    assert {id(p) for p in ours.parameters()} == {id(p) for p in network.parameters()}
    x = blobs[0].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(ours(x), blobs[1]), x)
    network.requires_grad_(False)
    expected = scaled.loss_gradient(blobs[0].numpy(), np.eye(4)[blobs[1]])
    network.requires_grad_(True)
    assert np.allclose(gradient.numpy(), expected, atol=1e-6)


class Squeezed(Preprocessor):  # type: ignore[misc]
    """Three bits a value, in numpy."""

    def __call__(self, x: Any, y: Any = None) -> tuple[Any, Any]:
        return np.round(x * 7) / np.float32(7), y

    def estimate_gradient(self, x: Any, grad: Any) -> Any:
        return grad


def test_numpy_preprocessing_is_differentiated(network: nn.Sequential, blobs: Blobs) -> None:
    squeezed = plain_classifier(network, preprocessing_defences=Squeezed())
    ours = from_art_classifier(squeezed)
    assert np.allclose(ours(blobs[0]).detach().numpy(), squeezed.predict(blobs[0].numpy()), atol=1e-5)
    result = run(PGD(steps=10), ours, *blobs, ThreatModel("linf", 0.2))
    assert result.success.any()
    points = result.adversarials[result.success].numpy()
    assert (squeezed.predict(points).argmax(1) != blobs[1][result.success].numpy()).all()


class Rounded(PreprocessorPyTorch):  # type: ignore[misc]
    """Rounds the inputs; names the identity as its stand-in."""

    def __init__(self) -> None:
        super().__init__(device_type="cpu")

    def forward(self, x: Tensor, y: Any = None) -> tuple[Tensor, Any]:
        return (x * 7).round() / 7, y

    def estimate_forward(self, x: Tensor, y: Any = None) -> Tensor:
        return x


def test_the_stand_in_of_torch_preprocessing_is_used(network: nn.Sequential, blobs: Blobs) -> None:
    rounded = plain_classifier(network, preprocessing_defences=Rounded())
    gradient = rounded.loss_gradient(blobs[0].numpy(), np.eye(4)[blobs[1]])
    assert not gradient.any()  # ART's fault
    network.zero_grad()
    result = run(PGD(steps=10), from_art_classifier(rounded), *blobs, ThreatModel("linf", 0.2))
    assert result.success.float().mean() > 0.3


def test_postprocessing_decides(network: nn.Sequential, blobs: Blobs) -> None:
    labelled = plain_classifier(network, postprocessing_defences=ClassLabels())
    ours = from_art_classifier(labelled)
    assert np.allclose(ours(blobs[0]).detach().numpy(), labelled.predict(blobs[0].numpy()), atol=1e-5)
    assert run(PGD(steps=10), ours, *blobs, ThreatModel("linf", 0.2), loss=Margin()).success.any()


def test_models_that_cannot_be_taken(network: nn.Sequential, model: PlainModel) -> None:
    with pytest.raises(InvalidInput, match="pass one of ART, such as PyTorchClassifier"):
        from_art_classifier(model)
    with pytest.raises(InvalidInput, match="no clip_values"):
        from_art_classifier(plain_classifier(network, clip_values=None))
    assert from_art_classifier(plain_classifier(network, clip_values=None), bounds=(0, 1)).bounds == (0, 1)
    with pytest.raises(InvalidInput, match="differ between features"):
        from_art_classifier(plain_classifier(network, clip_values=(np.zeros(12), np.linspace(1, 2, 12))))


# --- ArtAttack and the engine ---


@pytest.mark.parametrize("name", ["HopSkipJump", "CarliniL2Method", "NewtonFool", "AutoProjectedGradientDescent"])
def test_any_attack_runs_and_is_verified(name: str, model: PlainModel, blobs: Blobs) -> None:
    settings = {
        "HopSkipJump": {"max_iter": 1, "max_eval": 50, "init_eval": 10, "norm": 2},
        "CarliniL2Method": {"max_iter": 3, "binary_search_steps": 2},
        "NewtonFool": {"max_iter": 20},
        "AutoProjectedGradientDescent": {"max_iter": 5, "eps_step": 0.1, "nb_random_init": 1},
    }
    inputs, labels = blobs[0][:12], blobs[1][:12]
    attack = ArtAttack(name, settings[name])
    budget = None if attack.minimum_norm else 0.5
    result = run(attack, model, inputs, labels, ThreatModel("l2", budget))
    assert bool(result.success.any())
    assert bool((model(result.adversarials).argmax(1) != labels)[result.success].all())
    assert bool((result.forwards[result.correct] > 0).all())


def test_other_bounds(network: nn.Sequential, blobs: Blobs) -> None:
    wide = PlainModel(lambda x: network((x + 1) / 2), 4, (-1.0, 1.0)).eval()
    unit = PlainModel(network, 4).eval()
    pgd = ArtAttack("ProjectedGradientDescent", {"eps_step": 0.02, "max_iter": 10})
    at_wide = run(pgd, wide, 2 * blobs[0] - 1, blobs[1], ThreatModel("linf", 0.2, (-1.0, 1.0)))
    half = ArtAttack("ProjectedGradientDescent", {"eps_step": 0.01, "max_iter": 10})
    at_unit = run(half, unit, *blobs, ThreatModel("linf", 0.1))
    assert (at_wide.success == at_unit.success).float().mean() > 0.98
    assert at_wide.adversarials.min() >= -1


def test_a_function_makes_the_attack_and_targets_reach_it(model: PlainModel, blobs: Blobs) -> None:
    inputs, labels = blobs
    seen: list[ThreatModel] = []

    def make(estimator: PyTorchClassifier, threat: ThreatModel) -> EvasionAttack:
        seen.append(threat)
        return evasion.FastGradientMethod(estimator, eps=threat.epsilon, targeted=threat.targeted, batch_size=200)

    targets = (labels + 1) % 4
    epsilon = torch.where(torch.arange(len(inputs)) % 2 == 0, 0.125, 0.25).double()
    threat = ThreatModel("linf", 0.25, targeted=True)
    result = run(ArtAttack(make), model, inputs, labels, threat, targets=targets, epsilon=epsilon)
    assert [(t.epsilon, t.targeted) for t in seen] == [(0.125, True), (0.25, True)]
    assert bool((model(result.adversarials).argmax(1) == targets)[result.success].all())
    with pytest.raises(InvalidInput, match="not targeted"):
        run(ArtAttack("DeepFool"), model, inputs, labels, ThreatModel("l2", targeted=True), targets=targets)


def test_errors_of_art_are_named(model: PlainModel, blobs: Blobs) -> None:
    with pytest.raises(ExternalError, match=r"ProjectedGradientDescent failed .*positive"):
        run(ArtAttack("ProjectedGradientDescent", {"eps_step": -1}), model, *blobs, ThreatModel("linf", 0.1))
    for make in (
        lambda: ArtAttack("NoSuchAttack"),
        lambda: ArtAttack("FastGradientMethod", {"stride": 3}),
        lambda: ArtAttack(lambda estimator, threat: None, {"eps": 1}),
    ):
        with pytest.raises(InvalidInput):
            make()


def test_nan_inputs_are_the_peers_fault(model: PlainModel, blobs: Blobs) -> None:
    class Lost(evasion.FastGradientMethod):  # type: ignore[misc]
        def generate(self, x: Any, y: Any = None, **kwargs: Any) -> Any:
            return self.estimator.predict(x * np.float32(np.nan))

    with pytest.raises(ExternalError, match="Lost asked the model about NaN"):
        run(ArtAttack(Lost), model, *blobs, ThreatModel("linf", 0.1))


# --- detectors ---


def test_detectors_in_both_directions(network: nn.Sequential, model: PlainModel, blobs: Blobs) -> None:
    inputs, labels = blobs
    rejecting: DefendedModel = Rejecting(network, 4).eval()
    report, flagged = as_art_detector(rejecting).detect(inputs.numpy(), batch_size=64)
    decision = rejecting.decide(inputs)
    assert flagged.dtype == bool
    assert np.array_equal(flagged, ~decision.accepted.numpy())
    assert np.array_equal(report["predictions"], decision.labels.numpy())
    joint = from_art_detector(model, HighMean()).eval()
    assert torch.equal(joint.decide(inputs).accepted, decision.accepted)
    result = run(PGD(steps=10), joint, inputs, labels, ThreatModel("linf", 0.15))
    found = result.adversarials[result.success]
    assert len(found)
    assert bool(joint.decide(found).accepted.all())
    with pytest.raises(InvalidInput, match="no detector"):
        as_art_detector(model)
    with pytest.raises(InvalidInput, match="EvasionDetector"):
        from_art_detector(model, object())
    with pytest.raises(NotImplementedError):
        as_art_detector(rejecting).fit(inputs, labels)
