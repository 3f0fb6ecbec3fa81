"""ART's attacks by their own names: what is declared is so, and their faults are caught."""

from __future__ import annotations

import inspect
import pickle
from typing import Any

import art.attacks.evasion
import pytest
import torch
from advplug_attack_art import _attacks
from advplug_attack_art._catalogue import CATALOGUE
from art.attacks import EvasionAttack
from torch import Tensor

from advplug import ThreatModel, load
from advplug.api import run
from advplug.errors import InvalidInput, NonFiniteLogits, UnknownPlugin
from advplug.interop import ExternalError
from advplug.model import DefendedModel
from advplug.numerics import norms
from advplug.testing.models import NaNAway, linear_case

NAMES = [name for name in CATALOGUE.names() if name in CATALOGUE.entries]
ALWAYS_AIM = {"SaliencyMapMethod", "TargetedUniversalPerturbation"}


def make(name: str, **parameters: Any) -> Any:
    entry = CATALOGUE.entries[name]
    if not entry.installed:
        pytest.skip(f"{entry.needs} is not installed")
    return load(f"attack:art:{name}")(**parameters)


class Deaf(DefendedModel):
    """Answers class 0 whatever it sees, with a gradient."""

    def forward(self, x: Tensor) -> Tensor:
        light = 0.01 * x.flatten(1).mean(1)
        return torch.stack((1 + light, -1 - light), 1)


def test_every_attack_that_art_exports_is_there_or_left_out_with_a_reason() -> None:
    exported = {
        name
        for name, kind in vars(art.attacks.evasion).items()
        if isinstance(kind, type) and issubclass(kind, EvasionAttack)
    }
    assert exported <= set(CATALOGUE.names()) | set(CATALOGUE.left_out)
    assert all(CATALOGUE.left_out.values())
    assert not CATALOGUE.left_out.keys() & CATALOGUE.entries.keys()


@pytest.mark.parametrize("name", NAMES)
def test_what_is_declared_is_so(name: str) -> None:
    attack, entry = make(name), CATALOGUE.entries[name]
    assert attack.norms == entry.norms
    assert attack.minimum_norm == (entry.budget == "minimum-norm")
    takes = inspect.signature(getattr(art.attacks.evasion, name)).parameters
    assert entry.targeted == ("targeted" in takes or name in ALWAYS_AIM)


def test_parameters_are_those_of_art() -> None:
    attack = make("ProjectedGradientDescent", max_iter=3)
    assert attack.parameters() == {
        "eps_step": 0.1, "decay": None, "max_iter": 3, "num_random_init": 0, "random_eps": False,
    }  # fmt: skip
    assert repr(type(attack)(**attack.parameters())) == repr(attack)
    assert make("Wasserstein").parameters()["eps"] == 0.3  # no budget in any of our norms
    assert make("ZooAttack").parameters()["batch_size"] == 1
    for wrong in ({"stride": 3}, {"eps": 0.3}, {"norm": 2}, {"targeted": True}):
        with pytest.raises(InvalidInput, match="has no parameters"):
            make("ProjectedGradientDescent", **wrong)


def test_pickling_keeps_class_and_parameters() -> None:
    attack = make("DeepFool", max_iter=7)
    again = pickle.loads(pickle.dumps(attack))
    assert type(again) is type(attack) is load("attack:art:DeepFool")
    assert repr(again) == repr(attack)
    assert again.norms == ("l2",)


def test_names_that_are_no_attack() -> None:
    for name in ("DPatch", "NoSuchAttack", "_private", "__wrapped__"):
        with pytest.raises(AttributeError):
            getattr(_attacks, name)
    with pytest.raises(UnknownPlugin):
        load("attack:art:ImperceptibleASR")


@pytest.mark.parametrize("name", ["BrendelBethgeAttack", "AutoAttack", "ThresholdAttack"])
def test_a_package_that_is_missing_is_named(name: str) -> None:
    entry = CATALOGUE.entries[name]
    if entry.installed:
        pytest.skip(f"{entry.needs} is installed")
    with pytest.raises(ExternalError, match=f"pip install {entry.needs}"):
        load(f"attack:art:{name}")()


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("CarliniL2Method", {"max_iter": 3, "binary_search_steps": 2}),
        ("DeepFool", {"max_iter": 3}),
        ("ElasticNet", {"max_iter": 3, "binary_search_steps": 2}),
        ("HopSkipJump", {"max_iter": 1, "max_eval": 20, "init_eval": 10, "init_size": 5}),
        ("SaliencyMapMethod", {}),
        ("SimBA", {"max_iter": 5, "attack": "px"}),
    ],
)
def test_a_model_that_never_breaks_stays_unbroken(name: str, settings: dict[str, Any]) -> None:
    inputs, labels = torch.full((3, 1, 4, 4), 0.7), torch.zeros(3, dtype=torch.int64)
    norm: Any = CATALOGUE.entries[name].norms[-1]
    result = run(make(name, **settings), Deaf(2).eval(), inputs, labels, ThreatModel(norm))
    assert not bool(result.success.any())
    assert torch.equal(result.adversarials, inputs)


def test_nan_logits_are_no_success() -> None:
    case = NaNAway.case()
    with pytest.raises(NonFiniteLogits):
        run(make("FastGradientMethod"), case.model, case.inputs, case.labels, case.threat("linf"))


def test_an_attack_of_single_images_takes_a_batch() -> None:
    case = linear_case(3, shape=(3, 4, 4))
    attack = make("ShadowAttack", nb_steps=3, batch_size=2)
    result = run(attack, case.model, case.inputs, case.labels, ThreatModel("l2", None, case.bounds))
    assert result.adversarials.shape == case.inputs.shape
    assert bool((result.forwards > 0).all())


def test_the_saliency_map_aims_elsewhere_without_targets_and_at_them_with() -> None:
    case = linear_case(4, shape=(1, 4, 4))
    attack = make("SaliencyMapMethod", theta=1.0)
    result = run(attack, case.model, case.inputs, case.labels, ThreatModel("l0", None, case.bounds))
    assert bool(result.success.any())
    targets = (case.labels + 1) % 4
    threat = ThreatModel("l0", None, case.bounds, True)
    result = run(attack, case.model, case.inputs, case.labels, threat, targets=targets)
    assert bool(result.success.any())
    assert torch.equal(case.model(result.adversarials[result.success]).argmax(1), targets[result.success])
    assert bool((norms(result.adversarials - case.inputs, "l0")[result.success] > 0).all())
