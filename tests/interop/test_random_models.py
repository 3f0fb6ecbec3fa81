"""Randomised models and random detectors under the attacks of Foolbox and ART, and through their wrappers."""

from __future__ import annotations

from collections.abc import Callable

import foolbox
import numpy as np
import pytest
import torch
from advplug_attack_pgd import PGD
from art.attacks.evasion import ProjectedGradientDescent
from art.defences.preprocessor import FeatureSqueezing
from art.estimators.classification import PyTorchClassifier
from torch import Tensor, nn

from advplug import run
from advplug.engine.gateway import Gateway
from advplug.engine.verification import TOLERANCE
from advplug.errors import RobustnessWarning
from advplug.interop.art import (
    as_art_attack,
    as_art_classifier,
    as_art_detector,
    from_art_classifier,
    from_art_detector,
)
from advplug.interop.foolbox import as_foolbox_model, from_foolbox_model
from advplug.model import Decision, DefendedModel, PlainModel
from advplug.threat import ThreatModel

Blobs = tuple[Tensor, Tensor]
EPSILON, STEP, STEPS, DRAWS = 0.15, 0.03, 10, 8


class Noisy(PlainModel):
    """Draws fresh noise in every pass."""

    stochastic = True

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + 0.05 * torch.randn_like(x))


class Wary(PlainModel):
    """Rejects, on one draw of noise, what noise moves to another class."""

    stochastic = True

    def decide(self, x: Tensor) -> Decision:
        labels = self(x).argmax(1)
        return Decision(labels, self(x + 0.1 * torch.randn_like(x)).argmax(1) == labels)


@pytest.fixture(params=[Noisy, Wary])
def random_model(request: pytest.FixtureRequest, network: nn.Sequential) -> DefendedModel:
    model: DefendedModel = request.param(network, 4)
    return model.eval()


def foolbox_points(model: DefendedModel, inputs: Tensor, labels: Tensor) -> Tensor:
    pgd = foolbox.attacks.LinfPGD(steps=STEPS, abs_stepsize=STEP)
    points: Tensor = pgd(as_foolbox_model(model), inputs, labels, epsilons=EPSILON)[1]
    return points


def art_points(model: DefendedModel, inputs: Tensor, labels: Tensor) -> Tensor:
    classifier = as_art_classifier(model, tuple(inputs.shape[1:]))
    pgd = ProjectedGradientDescent(classifier, eps=EPSILON, eps_step=STEP, max_iter=STEPS, verbose=False)
    return torch.as_tensor(pgd.generate(inputs.numpy(), labels.numpy()))


def fooled(model: DefendedModel, points: Tensor, labels: Tensor) -> Tensor:
    """Share of fresh decisions that are wrong and accepted, float (N,)."""
    decisions = Gateway(model, points[:1]).decisions(points, DRAWS)
    return torch.stack([(given.labels != labels) & given.accepted for given in decisions]).float().mean(0)


@pytest.mark.parametrize("points_of", [foolbox_points, art_points])
def test_their_pgd_finds_points_in_the_budget_that_fool_fresh_draws(
    random_model: DefendedModel, blobs: Blobs, points_of: Callable[[DefendedModel, Tensor, Tensor], Tensor]
) -> None:
    inputs, labels = blobs
    torch.manual_seed(0)
    points = points_of(random_model, inputs, labels)
    assert (points - inputs).abs().max() <= EPSILON * (1 + TOLERANCE)
    assert 0 <= points.min() <= points.max() <= 1
    before, after = fooled(random_model, inputs, labels), fooled(random_model, points, labels)
    assert after.mean() > before.mean() + 0.1
    assert ((after > 0) & (after < 1)).any(), "one draw does not say what the next one says"


def test_every_pass_is_a_fresh_draw_and_gradients_are_finite(network: nn.Sequential, blobs: Blobs) -> None:
    inputs, labels = blobs
    model = Noisy(network, 4).eval()
    fmodel, classifier = as_foolbox_model(model), as_art_classifier(model, (12,))
    one_hot = np.eye(4, dtype=np.float32)[labels.numpy()]

    def foolbox_gradient() -> Tensor:
        x = inputs.clone().requires_grad_()
        return torch.autograd.grad(nn.functional.cross_entropy(fmodel(x), labels), x)[0]

    torch.manual_seed(0)
    for ask in (
        lambda: fmodel(inputs).detach(),
        lambda: torch.as_tensor(classifier.predict(inputs.numpy())),
        foolbox_gradient,
        lambda: torch.as_tensor(classifier.loss_gradient(inputs.numpy(), one_hot)),
        lambda: torch.as_tensor(classifier.class_gradient(inputs.numpy(), label=0)),
    ):
        first, second = ask(), ask()
        assert first.isfinite().all()
        assert first.any()
        assert not torch.equal(first, second)


def test_adapters_draw_nothing_and_the_passes_draw_from_the_callers_generator(
    network: nn.Sequential, blobs: Blobs
) -> None:
    inputs, model = blobs[0], Noisy(network, 4).eval()
    torch.manual_seed(0)
    before = torch.get_rng_state()
    fmodel, classifier, detector = (
        as_foolbox_model(model),
        as_art_classifier(model, (12,)),
        as_art_detector(Wary(network, 4).eval()),
    )
    assert torch.equal(torch.get_rng_state(), before)
    for ask in (
        lambda: fmodel(inputs).detach().numpy(),
        lambda: classifier.predict(inputs.numpy()),
        lambda: detector.detect(inputs.numpy())[1],
    ):
        answers = []
        for _ in range(2):
            torch.manual_seed(0)
            answers.append(ask())
            assert not torch.equal(torch.get_rng_state(), before)
        assert np.array_equal(*answers)


def test_a_random_detector_decides_anew_in_every_call(network: nn.Sequential, blobs: Blobs) -> None:
    model, inputs = Wary(network, 4).eval(), blobs[0]
    torch.manual_seed(0)
    detector = as_art_detector(model)
    rates = np.mean([detector.detect(inputs.numpy(), batch_size=64)[1] for _ in range(DRAWS)], axis=0)
    assert ((rates > 0) & (rates < 1)).any()
    shares = (
        torch.stack([~decision.accepted for decision in Gateway(model, inputs[:1]).decisions(inputs, 50)])
        .float()
        .mean()
    )
    assert rates.mean() == pytest.approx(shares.item(), abs=0.05)


# --- what their wrappers must not hide ---


def test_other_bounds_hide_neither_draws_nor_rejections(random_model: DefendedModel, blobs: Blobs) -> None:
    inputs, labels = blobs
    fmodel = as_foolbox_model(random_model)
    for wide in (fmodel.transform_bounds((-1, 1)), fmodel.transform_bounds((-1, 1), wrapper=True)):
        model = from_foolbox_model(wide)
        assert (model.bounds, model.num_classes) == ((-1, 1), 4)
        assert model.stochastic
        assert model.rejects == random_model.rejects
        torch.manual_seed(0)
        expected = random_model.decide(inputs)
        torch.manual_seed(0)
        decision = model.decide(2 * inputs - 1)
        same = (decision.labels == expected.labels) & (decision.accepted == expected.accepted)
        assert same.float().mean() > 0.98  # rescaling rounds
        _, points, success = PGD(steps=5)(wide, 2 * inputs - 1, labels, epsilons=2 * EPSILON, seed=1)
        rate = fooled(model, points, labels)
        assert rate[success].mean() > 0.7
    plain = foolbox.PyTorchModel(random_model, (0, 1), preprocessing={"mean": [0.1], "axis": -1})
    assert from_foolbox_model(plain, num_classes=4).stochastic


def test_preprocessing_of_art_hides_neither_draws_nor_rejections(random_model: DefendedModel, blobs: Blobs) -> None:
    inputs, labels = blobs
    squeezing = FeatureSqueezing(clip_values=(0, 1), bit_depth=4)
    options = {"clip_values": (0.0, 1.0), "device_type": "cpu", "preprocessing_defences": squeezing}
    classifier = PyTorchClassifier(random_model, nn.CrossEntropyLoss(), (12,), 4, **options)
    model = from_art_classifier(classifier)
    assert model.stochastic
    assert not from_art_classifier(classifier, stochastic=False).stochastic
    assert model.rejects == random_model.rejects
    torch.manual_seed(0)
    expected = random_model.decide(torch.as_tensor(squeezing(inputs.numpy())[0]).float())
    torch.manual_seed(0)
    decision = model.decide(inputs)
    assert torch.equal(decision.labels, expected.labels)
    assert torch.equal(decision.accepted, expected.accepted)
    pgd = as_art_attack(PGD(steps=5), classifier, threat=ThreatModel("linf", EPSILON))
    points = pgd.generate(inputs, labels)
    moved = (points != inputs).any(1)
    assert moved.any()
    assert fooled(model, points[moved], labels[moved]).mean() > 0.7


def test_a_model_behind_a_random_detector_is_random(network: nn.Sequential, model: PlainModel) -> None:
    detector = as_art_detector(Wary(network, 4).eval())
    assert from_art_detector(model, detector).stochastic
    assert not from_art_detector(model, detector, stochastic=False).stochastic


class Undeclared(nn.Module):
    """Random, and does not say so."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.network(x + 0.2 * torch.randn_like(x))
        return found


def attacked(entry: str, model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    """What PGD returns within 0.05 under linf, called as users of each library do."""
    threat, attack = ThreatModel("linf", 0.05), PGD(steps=5)
    if entry == "Foolbox":
        fmodel = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
        points: Tensor = attack(fmodel, inputs, labels, epsilons=threat.epsilon)[1]
        return points
    if entry == "run":
        return run(attack, model, inputs, labels, threat).adversarials
    loss = nn.CrossEntropyLoss()
    classifier = PyTorchClassifier(model, loss, inputs.shape[1:], 4, clip_values=(0, 1), device_type="cpu")
    if entry == "as_art_attack":
        generated = as_art_attack(attack, classifier, threat=threat).generate(inputs.numpy(), labels.numpy())
        return torch.from_numpy(generated)
    return run(attack, from_art_classifier(classifier), inputs, labels, threat).adversarials


@pytest.mark.parametrize("entry", ["run", "as_art_attack", "Foolbox", "from_art_classifier"])
def test_every_entry_measures_and_tells_of_undeclared_randomness(
    entry: str, network: nn.Sequential, blobs: Blobs
) -> None:
    """On one draw 36 % of the samples seemed to fall of which 17 % do: a success is one in most of the draws."""
    inputs, labels = blobs
    torch.manual_seed(0)
    model = Undeclared(network).eval()
    with pytest.warns(RobustnessWarning, match="the answers of the model are random, and it does not say so"):
        points = attacked(entry, model, inputs, labels)
    moved = (points != inputs).any(1)
    assert moved.any()
    with torch.no_grad():
        answers = torch.stack([model(points[moved]).argmax(1) for _ in range(100)])
    fooled = (answers != labels[moved]).double().mean(0)
    assert fooled.mean() > 0.5
