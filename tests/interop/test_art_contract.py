"""What an ART user's code does with attacks of advplug: parameters, arrays, masks, trainers, metrics, wrappers."""

from __future__ import annotations

import sys
import types
from typing import Any

import numpy as np
import pytest
import torch
from advplug_attack_apgd import APGD
from advplug_attack_ddn import DDN
from advplug_attack_fgm import FGM
from advplug_attack_pgd import PGD
from advplug_attack_square import Square
from art.attacks.evasion import AutoAttack
from art.defences import trainer
from art.estimators.classification import PyTorchClassifier
from art.metrics import adversarial_accuracy
from art.preprocessing.expectation_over_transformation.pytorch import EoTPyTorch
from art.utils import compute_success, compute_success_array
from torch import Tensor, nn

from advplug.attack import Attack
from advplug.data import Images
from advplug.errors import InvalidInput
from advplug.interop.art import as_art_attack, as_art_classifier, from_art_classifier
from advplug.interop.art.evasion import AdvplugEvasionAttack
from advplug.model import PlainModel
from advplug.numerics.tensors import norms
from advplug.threat import ThreatModel

Blobs = tuple[Tensor, Tensor]
BUDGETS = {"linf": 0.2, "l2": 0.5, "l1": 2.0, "l0": 4.0}


def classifier_of(network: nn.Module, **options: Any) -> PyTorchClassifier:
    settings = {"clip_values": (0.0, 1.0), "device_type": "cpu", **options}
    return PyTorchClassifier(network, nn.CrossEntropyLoss(), (12,), 4, **settings)


def usual(attack: Attack) -> ThreatModel:
    norm = "linf" if "linf" in attack.norms else attack.norms[0]
    return ThreatModel(norm, None if attack.minimum_norm else BUDGETS[norm])  # type: ignore[arg-type]


@pytest.fixture
def classifier(network: nn.Sequential) -> PyTorchClassifier:
    return classifier_of(network)


@pytest.fixture
def pgd(classifier: PyTorchClassifier) -> AdvplugEvasionAttack:
    return as_art_attack(PGD(steps=5), classifier, threat=ThreatModel("linf", 0.2))


# --- every attack ---


def test_labels_masks_and_types(attack: Attack, classifier: PyTorchClassifier, own: Images, few: Blobs) -> None:
    x, y = few[0].numpy(), few[1].numpy()
    ours = as_art_attack(attack, classifier, threat=usual(attack), auxiliary=own)
    found = ours.generate(x, y)
    assert found.dtype == np.float32
    assert not np.array_equal(found, x)
    assert np.array_equal(ours.generate(x=x, y=np.eye(4)[y]), found)
    masked = ours.generate(x, y, mask=np.arange(12) < 8)
    assert np.array_equal(masked[:, 8:], x[:, 8:])
    assert not np.array_equal(masked, x)


def test_every_parameter_is_checked(attack: Attack, classifier: PyTorchClassifier) -> None:
    ours = as_art_attack(attack, classifier, threat=usual(attack))
    for name in attack.parameters():
        before = getattr(ours, name)
        for value in (object(), -1.5, float("nan")):
            with pytest.raises(ValueError, match=r"^[^\n]+$"):
                ours.set_params(**{name: value})
            assert getattr(ours, name) is before
    assert ours._attack is attack


# --- parameters ---


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("eps", "0.3"), ("eps", float("nan")), ("eps", float("inf")), ("eps", -0.1), ("eps", True), ("eps", [0.1]),
        ("eps", None), ("eps", np.array([0.1, -0.1])), ("eps", np.array(["a"])), ("eps", np.empty(0)),
        ("norm", 3), ("norm", "l7"), ("norm", True), ("norm", None), ("norm", np.array(2)),
        ("targeted", "False"), ("targeted", 1), ("seed", 1.5), ("seed", "1"), ("seed", True),
        ("steps", -1), ("steps", "3"), ("random_start", "yes"), ("step_size", -0.1), ("estimator", None), ("stride", 3),
    ],
)  # fmt: skip
def test_a_refused_value_does_not_stay(pgd: AdvplugEvasionAttack, name: str, value: Any, few: Blobs) -> None:
    before, found = repr(pgd), pgd.generate(*few)
    with pytest.raises(ValueError, match=rf"^{name}|cannot be set"):
        pgd.set_params(**{"steps": 9, "eps": 0.01, name: value})
    assert repr(pgd) == before
    assert torch.equal(pgd.generate(*few), found)


@pytest.mark.parametrize(
    ("norm", "name"),
    [(np.inf, "linf"), ("inf", "linf"), (2, "l2"), (2.0, "l2"), ("2", "l2"), (1, "l1"), ("l1", "l1"), (0, "l0")],
)
def test_norms_are_written_as_in_art(pgd: AdvplugEvasionAttack, norm: Any, name: str, few: Blobs) -> None:
    pgd.set_params(norm=norm, eps=BUDGETS[name])
    sizes = norms(pgd.generate(*few) - few[0], name)
    assert 0 < sizes.max() <= BUDGETS[name] * (1 + 1e-5)


def test_an_attack_refuses_norms_and_budgets_that_it_does_not_take(classifier: PyTorchClassifier) -> None:
    with pytest.raises(InvalidInput, match="under which FGM does not work"):
        as_art_attack(FGM(), classifier, threat=ThreatModel("linf", 0.1)).set_params(norm=0)
    with pytest.raises(InvalidInput, match="FGM needs a budget"):
        as_art_attack(FGM(), classifier, threat=ThreatModel("linf"))
    as_art_attack(DDN(steps=2), classifier, threat=ThreatModel("l2")).set_params(eps=None)


# --- budgets as arrays ---


@pytest.mark.parametrize("norm", ["linf", 2])
def test_a_budget_for_each_input(pgd: AdvplugEvasionAttack, norm: Any, blobs: Blobs) -> None:
    inputs, labels = blobs
    eps = np.linspace(0, 0.4, len(inputs))
    pgd.set_params(norm=norm, eps=eps)
    found = pgd.generate(inputs.numpy(), labels.numpy())
    sizes = norms(torch.as_tensor(found) - inputs, "l2" if norm == 2 else "linf").numpy()
    assert (sizes <= eps * (1 + 1e-5)).all()
    assert (sizes[-50:] > 0.2).any()
    pgd.set_params(eps=eps[:, None])
    assert np.array_equal(pgd.generate(inputs.numpy(), labels.numpy()), found)


def test_a_budget_for_each_value(pgd: AdvplugEvasionAttack, few: Blobs) -> None:
    inputs, labels = few
    for eps in (np.linspace(0, 0.3, 12), np.linspace(0, 0.3, 12)[None], np.tile(np.linspace(0, 0.3, 12), (12, 1))):
        pgd.set_params(eps=eps)
        moved = (pgd.generate(inputs, labels) - inputs).abs().amax(0).numpy()
        assert (moved <= np.linspace(0, 0.3, 12) * (1 + 1e-5) + 1e-7).all()
        assert moved[-1] > 0.2
    pgd.set_params(norm=2)
    with pytest.raises(InvalidInput, match=r"eps has shape \(12, 12\): under l2 give one number for each input"):
        pgd.generate(inputs, labels)
    pgd.set_params(eps=np.ones(7))
    with pytest.raises(InvalidInput, match=r"eps has shape \(7,\)"):
        pgd.generate(inputs, labels)
    arrays = as_art_attack(PGD(steps=5), pgd.estimator, threat=ThreatModel("linf", eps))  # type: ignore[arg-type]
    assert np.allclose(arrays.eps, eps)


def test_clip_values_for_each_value(network: nn.Sequential, few: Blobs) -> None:
    inputs, labels = few
    low, high = np.zeros(12, np.float32), np.linspace(1, 2, 12, dtype=np.float32)
    classifier = classifier_of(network, clip_values=(low, high))
    ours = as_art_attack(PGD(steps=5), classifier, threat=ThreatModel("linf", 0.9, (0.0, 2.0)))
    highest = ours.generate(inputs.numpy(), labels.numpy()).max(0)
    assert (highest <= high).all()
    assert highest.max() > 1


# --- masks and starting points ---


def test_masks_as_art_takes_them(pgd: AdvplugEvasionAttack, few: Blobs) -> None:
    inputs, labels = few
    mask = np.arange(12) % 3 == 0
    per_sample = np.eye(12, dtype=bool)
    first = pgd.generate(inputs, labels, mask=mask)
    for given in (mask.astype(np.float32), mask.astype(int), torch.as_tensor(mask), np.tile(mask, (12, 1)), mask[None]):
        assert torch.equal(pgd.generate(inputs, labels, mask=given), first)
    found = pgd.generate(inputs, labels, mask=per_sample)
    assert torch.equal(found[~torch.as_tensor(per_sample)], inputs[~torch.as_tensor(per_sample)])
    assert torch.equal(pgd.generate(inputs, labels, mask=None), pgd.generate(inputs, labels))
    for wrong, message in (
        (mask * 0.5, "weights"),
        (np.full(12, np.nan), "weights"),
        (mask[:5], "shape"),
        ("all", "type"),
    ):
        with pytest.raises(InvalidInput, match=f"mask.*{message}"):
            pgd.generate(inputs, labels, mask=wrong)


def test_targets_and_masks_of_those_that_need_an_attack(classifier: PyTorchClassifier, blobs: Blobs) -> None:
    inputs, labels = blobs
    targeted = as_art_attack(PGD(steps=10), classifier, threat=ThreatModel("linf", 0.3, targeted=True))
    targets = torch.where(torch.arange(200) < 100, labels, (labels + 1) % 4)  # half of them are there already
    mask = torch.arange(12) < torch.where(torch.arange(200) < 150, 12, 6)[:, None]
    found = targeted.generate(inputs, targets, mask=mask)
    assert torch.equal(found[~mask], inputs[~mask])
    reached = classifier.predict(found.numpy()).argmax(1) == targets.numpy()
    assert reached[:100].mean() > 0.9
    assert reached[150:].any()


def test_starting_points_by_the_names_of_art(classifier: PyTorchClassifier, few: Blobs) -> None:
    inputs, labels = few
    one = as_art_attack(PGD(steps=1, step_size=1e-4), classifier, threat=ThreatModel("linf", 1.0))
    starts = inputs.roll(1, 0)
    found = [one.generate(inputs, labels, **{name: starts}) for name in ("x_adv_init", "x_init", "starting_points")]
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
    assert ((found[0] - starts).abs().amax(1) < 2e-4).any()
    for wrong in ({"x_init": starts, "x_adv_init": starts}, {"x_init": starts[:3]}, {"x_init": starts * torch.nan}):
        with pytest.raises(InvalidInput):
            one.generate(inputs, labels, **wrong)
    with pytest.raises(InvalidInput, match="does not take resume"):
        one.generate(inputs, labels, resume=True)


# --- what ART does with attacks ---


@pytest.mark.parametrize(
    "name", ["AdversarialTrainer", "AdversarialTrainerTRADESPyTorch", "AdversarialTrainerAWPPyTorch"]
)
def test_trainers(name: str, blobs: Blobs) -> None:
    kind = getattr(trainer, name, None)
    if kind is None:
        pytest.skip(f"this ART has no {name}")
    inputs, labels = blobs[0].numpy(), np.eye(4, dtype=np.float32)[blobs[1].numpy()]
    torch.manual_seed(0)
    networks = [nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 4)) for _ in range(2)]
    classifier, proxy = (classifier_of(net, optimizer=torch.optim.Adam(net.parameters(), lr=0.02)) for net in networks)
    threat = ThreatModel("linf", 0.05)
    attacks = [as_art_attack(each, classifier, threat=threat, worst_case=True) for each in (PGD(steps=3), FGM())]
    if name == "AdversarialTrainer":
        training = kind(classifier, attacks, ratio=1.0)
    elif name.endswith("TRADESPyTorch"):
        training = kind(classifier, attacks[0], beta=1.0)
    else:
        training = kind(classifier, proxy, attacks[0], mode="PGD", gamma=0.01, beta=1.0, warmup=0)
    training.fit(inputs, labels, batch_size=50, nb_epochs=15)
    assert (classifier.predict(inputs).argmax(1) == blobs[1].numpy()).mean() > 0.8


def test_metrics(pgd: AdvplugEvasionAttack, blobs: Blobs) -> None:
    x = blobs[0].numpy()
    pgd.set_params(eps=0.1)
    found = pgd.generate(x)
    answers = pgd.estimator.predict(x).argmax(1)
    moved = compute_success_array(pgd.estimator, x, np.eye(4)[answers], found)
    assert 0.1 < moved.mean() < 0.9
    assert compute_success(pgd.estimator, x, np.eye(4)[answers], found) == moved.mean()
    assert adversarial_accuracy(pgd.estimator, x, attack_crafter=pgd) == pytest.approx(1 - moved.mean())


def test_autoattack_of_art_runs_ours(
    classifier: PyTorchClassifier, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "multiprocess", types.ModuleType("multiprocess"))  # it imports it in any case
    x, y = blobs[0].numpy(), blobs[1].numpy()
    threat = ThreatModel("linf", 0.1)
    attacks = [as_art_attack(each, classifier, threat=threat) for each in (APGD(steps=5), Square(queries=50))]
    found = AutoAttack(classifier, norm=np.inf, eps=0.1, attacks=attacks, targeted=True).generate(x, y)
    wrong = classifier.predict(found).argmax(1) != y
    alone = classifier.predict(attacks[1].generate(x, y)).argmax(1) != y
    assert wrong.mean() >= alone.mean()
    assert np.abs(found - x).max() <= 0.1 * (1 + 1e-5)


class NoisyCopies(EoTPyTorch):  # type: ignore[misc]
    def _transform(self, x: Tensor, y: Any, **kwargs: Any) -> tuple[Tensor, Any]:
        return (x + 0.03 * torch.randn_like(x)).clamp(0, 1), y


@pytest.mark.parametrize("samples", [1, 5])
def test_expectation_over_transformations(network: nn.Sequential, blobs: Blobs, samples: int) -> None:
    inputs, labels = blobs
    copies = NoisyCopies(nb_samples=samples, clip_values=(0.0, 1.0))
    classifier = classifier_of(network, preprocessing_defences=copies)
    assert classifier.predict(inputs.numpy()).shape == (200 * samples, 4)
    model = from_art_classifier(classifier)
    assert model.stochastic
    torch.manual_seed(0)
    assert torch.allclose(model(inputs), network(inputs), atol=2.0)
    assert not torch.equal(model(inputs), model(inputs))
    found = as_art_attack(PGD(steps=5), classifier, threat=ThreatModel("linf", 0.15)).generate(inputs, labels)
    moved = (found != inputs).any(1)
    assert moved.float().mean() > 0.3
    assert (model(found[moved]).argmax(1) != labels[moved]).float().mean() > 0.7


def test_transformations_that_make_copies_have_no_decisions(network: nn.Sequential, few: Blobs) -> None:
    class Rejecting(PlainModel):
        def decide(self, x: Tensor) -> Any:
            return super().decide(x)

    copies = NoisyCopies(nb_samples=2, clip_values=(0.0, 1.0))
    model = from_art_classifier(classifier_of(Rejecting(network, 4).eval(), preprocessing_defences=copies))
    with pytest.raises(InvalidInput, match="let the transformation make one sample"):
        model.decide(few[0])


def test_our_classifier_of_ours_keeps_its_attack(model: PlainModel, few: Blobs) -> None:
    classifier = as_art_classifier(model, (12,))
    repeated = as_art_attack(PGD(steps=2).repeat(3), classifier, threat=ThreatModel("linf", 0.1))
    assert {"attack", "times"} <= set(repeated.attack_params)
    repeated.set_params(times=5)
    with pytest.raises(InvalidInput, match="times"):
        repeated.set_params(times=0)
    once = as_art_attack(PGD(steps=2), classifier, threat=ThreatModel("linf", 0.1), restarts=5)
    assert np.array_equal(
        repeated.generate(few[0].numpy(), few[1].numpy()), once.generate(few[0].numpy(), few[1].numpy())
    )
