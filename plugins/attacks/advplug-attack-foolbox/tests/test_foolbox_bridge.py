"""Foolbox's attacks by their own names: what is declared is so, and their faults are caught."""

from __future__ import annotations

import inspect
import pickle
from typing import Any

import foolbox
import pytest
import torch
from advplug_attack_foolbox import _attacks
from advplug_attack_foolbox._catalogue import CATALOGUE
from foolbox.attacks.base import Attack as Theirs
from torch import Tensor

from advplug import ThreatModel, load
from advplug.api import run
from advplug.errors import InvalidInput, NonFiniteLogits, UnknownPlugin
from advplug.model import DefendedModel
from advplug.testing.models import NaNAway, linear_case

NAMES = [name for name in CATALOGUE.names() if name in CATALOGUE.entries]


def make(name: str, **parameters: Any) -> Any:
    entry = CATALOGUE.entries[name]
    if not entry.installed:
        pytest.skip(f"{entry.needs} is not installed")
    return load(f"attack:foolbox:{name}")(**parameters)


class Masked(DefendedModel):
    """No gradient anywhere: answers 0 unless the image is dark."""

    def forward(self, x: Tensor) -> Tensor:
        dark = (x.flatten(1).mean(1) < 0.2).to(x)
        return torch.stack((1 - dark, dark), 1) + 0 * x.flatten(1).sum(1, keepdim=True)


def test_every_attack_that_foolbox_exports_is_there_once() -> None:
    kinds = {
        kind
        for name, kind in vars(foolbox.attacks).items()
        if isinstance(kind, type) and issubclass(kind, Theirs) and name not in CATALOGUE.left_out
    }
    bridged = [getattr(foolbox.attacks, name) for name in CATALOGUE.names()]
    assert len(bridged) == len(set(bridged))
    assert set(bridged) == kinds
    newer = {"MIFGSM"} & vars(foolbox.attacks).keys()  # the oldest Foolbox has none
    assert {"LinfPGD", "L2PGD", "FGSM", "DDNAttack"} | newer <= set(CATALOGUE.names())


@pytest.mark.parametrize("name", NAMES)
def test_what_is_declared_is_so(name: str) -> None:
    attack, entry = make(name), CATALOGUE.entries[name]
    assert attack.norms == entry.norms
    assert attack.minimum_norm == (entry.budget == "minimum-norm")


@pytest.mark.parametrize("name", [name for name in NAMES if "Binarization" not in name])
def test_targets_are_taken_where_that_is_declared(name: str) -> None:
    known = inspect.signature(load(f"attack:foolbox:{name}")).parameters
    quick = {key: 2 for key in ("steps", "binary_search_steps", "directions") if key in known}
    attack, entry = make(name, **quick), CATALOGUE.entries[name]
    case = linear_case(4)
    norm: Any = entry.norms[0]
    threat = ThreatModel(norm, None if attack.minimum_norm else 1.0, case.bounds, True)
    try:
        run(attack, case.model, case.inputs, case.labels, threat, targets=(case.labels + 1) % 4)
    except Exception as error:  # Foolbox says it by a ValueError, or by an assertion without a message
        taken = "unsupported criterion" not in str(error)
    else:
        taken = True
    assert taken >= entry.targeted


def test_parameters_are_those_of_foolbox() -> None:
    attack = make("LinfPGD", steps=3)
    assert attack.parameters() == {
        "rel_stepsize": inspect.signature(foolbox.attacks.LinfPGD).parameters["rel_stepsize"].default,
        "abs_stepsize": None,
        "steps": 3,
        "random_start": True,
    }
    assert repr(type(attack)(**attack.parameters())) == repr(attack)
    assert repr(attack).startswith("LinfPGD(rel_stepsize=")
    assert "distance" not in inspect.signature(load("attack:foolbox:InversionAttack")).parameters
    assert make("VirtualAdversarialAttack").parameters()["steps"] == 10  # Foolbox has no default
    for wrong in ({"stride": 3}, {"distance": foolbox.distances.l2}):
        with pytest.raises(InvalidInput, match="has no parameters"):
            make("InversionAttack", **wrong)


def test_pickling_keeps_class_and_parameters() -> None:
    attack = make("L2DeepFoolAttack", steps=7)
    again = pickle.loads(pickle.dumps(attack))
    assert type(again) is type(attack) is load("attack:foolbox:L2DeepFoolAttack")
    assert repr(again) == repr(attack)


def test_names_that_are_no_attack() -> None:
    for name in ("Attack", "SpatialAttack", "NoSuchAttack", "_private"):
        with pytest.raises(AttributeError):
            getattr(_attacks, name)
    with pytest.raises(UnknownPlugin):
        load("attack:foolbox:SpatialAttack")


@pytest.mark.parametrize("name", ["L2CarliniWagnerAttack", "EADAttack"])
def test_black_images_of_unbroken_samples_are_no_success(name: str) -> None:
    inputs, labels = torch.full((4, 1, 4, 4), 0.7), torch.zeros(4, dtype=torch.int64)
    quick = {"steps": 5, "binary_search_steps": 2}
    model = foolbox.PyTorchModel(Masked(2).eval(), (0, 1))
    _, points, theirs = getattr(foolbox.attacks, name)(**quick)(model, inputs, labels, epsilons=None)
    assert bool(theirs.all())  # the fault
    assert not bool(points.any())
    norm: Any = CATALOGUE.entries[name].norms[0]
    result = run(make(name, **quick), Masked(2), inputs, labels, ThreatModel(norm))
    assert not bool(result.success.any())
    assert torch.equal(result.adversarials, inputs)


def test_nan_logits_are_no_success() -> None:
    case = NaNAway.case()
    with pytest.raises(NonFiniteLogits):
        run(make("LinfPGD", steps=2), case.model, case.inputs, case.labels, case.threat("linf"))
