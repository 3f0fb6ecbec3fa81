"""Wrong calls: each is refused before any attack step, with an error that says what to change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from advplug_attack_pgd import PGD
from torch import nn

from advplug.api import run
from advplug.engine.problem import Options
from advplug.errors import AdvplugError
from advplug.losses import DLR, TargetedDLR
from advplug.testing.linear import linear_model
from advplug.threat import ThreatModel

LINF = ThreatModel("linf", 0.1)
X = torch.linspace(0, 1, 60, dtype=torch.float64).view(6, 10)
Y = torch.tensor([0, 1, 2, 0, 1, 2])
NAN = X.clone()
NAN[2, 3] = torch.nan
INTEGERS = (X * 255).to(torch.uint8)

WRONG_CALLS: dict[str, tuple[dict[str, Any], str]] = {
    "wrong shape": ({"inputs": X[:, :7]}, "does not take inputs of shape"),
    "no batch dimension": ({"inputs": X[0], "labels": Y[:1]}, "first dimension is the batch"),
    "empty batch": ({"inputs": X[:0], "labels": Y[:0]}, "empty"),
    "integer images": ({"inputs": INTEGERS}, "convert them to float32"),
    "half precision": ({"inputs": X.half()}, "convert them to float32"),
    "name of a file": ({"inputs": "digits.npz"}, "give pixels as uint8"),
    "array of text": ({"inputs": np.array(["a", "b"])}, "give pixels as uint8"),
    "arrays of unlike length": ({"inputs": X.numpy()[:2]}, "2 samples, y has 6 labels"),
    "NaN": ({"inputs": NAN}, "NaN"),
    "outside the bounds": ({"inputs": X * 255}, "outside the bounds"),
    "normalised inputs": ({"inputs": X - 0.5}, "normalisation belongs inside the model"),
    "label too large": ({"labels": Y + 1}, "classes 0 to 2"),
    "negative label": ({"labels": Y - 1}, "classes 0 to 2"),
    "one-hot labels": ({"labels": torch.eye(3)[Y]}, "not one-hot"),
    "one-hot integer labels": ({"labels": torch.eye(3)[Y].long()}, "give one class each"),
    "too few labels": ({"labels": Y[:4]}, "give one class each"),
    "target equal to the label": ({"targets": Y}, "equals the true label"),
    "target out of range": ({"targets": Y + 3}, "classes 0 to 2"),
    "unknown targets": ({"targets": "all"}, "'each' or None; for the likeliest few, num_targets=3"),
    "number of targets beside targets": ({"targets": "each", "num_targets": 2}, "no targets beside it"),
    "number of targets below 1": ({"num_targets": 0}, "num_targets is 0"),
    "targeted threat model without targets": ({"threat": ThreatModel("linf", 0.1, targeted=True)}, "needs targets"),
    "loss that needs targets, without targets": ({"loss": TargetedDLR()}, "needs targets"),
    "too few classes for the loss": (
        {"loss": DLR(), "model": linear_model(2, (10,)), "labels": Y % 2},
        "needs 3 classes",
    ),
    "budgets of the wrong shape": ({"epsilon": torch.rand(3)}, "one finite number"),
    "budgets as a list": ({"epsilon": [0.1] * 6}, "epsilon is a list: give a tensor"),
    "negative budgets": ({"epsilon": torch.full((6,), -0.1)}, "one finite number"),
    "starting points of the wrong shape": ({"starting_points": X[:2]}, "starting_points have shape"),
    "model that is not a module": ({"model": lambda x: x}, "torch.nn.Module"),
    "model that returns no class scores": ({"model": nn.Flatten(0)}, "must return logits"),
    "0 restarts": ({"restarts": 0}, "restarts is 0"),
    "batch size 0": ({"batch_size": 0}, "batch_size is 0"),
}


IMPOSSIBLE_THREATS: list[tuple[dict[str, Any], str]] = [
    ({"norm": "l3"}, "choose one of linf, l2, l1, l0"),
    ({"epsilon": -1.0}, "finite number >= 0"),
    ({"epsilon": float("nan")}, "finite number >= 0"),
    ({"epsilon": "8/255"}, "finite number >= 0"),
    ({"epsilon": [0.1] * 8, "norm": "l2"}, "needs linf"),
    ({"epsilon": [0.1, -0.1]}, "finite numbers >= 0"),
    ({"epsilon": ["a"] * 8}, "plain numbers"),
    ({"bounds": ([0.0] * 8, [1.0] * 7)}, "two of one shape"),
    ({"bounds": ([0.0, 2.0], [1.0, 1.0])}, "swap them"),
    ({"bounds": (torch.zeros(8), torch.full((8,), float("inf")))}, "NaN or infinite"),
    ({"mask": [0.5, 1.0]}, "other values than 0 and 1"),
    ({"mask": [False] * 8}, "allows no value to change"),
    ({"targeted": "False"}, "give True or False"),
    ({"bounds": 1.0}, "two finite numbers"),
    ({"bounds": (1.0, 0.0)}, "the lower one first"),
    ({"bounds": (0.0, float("inf"))}, "two finite numbers"),
]
UNREADABLE_THREATS = ["linf", "linf:a", "linf:1/0", "l7:0.3", "linf:-1", "linf:"]


def call(name: str) -> dict[str, Any]:
    """The arguments of a wrong call of ``run``."""
    return {"model": linear_model(3, (10,)), "inputs": X, "labels": Y, "threat": LINF} | WRONG_CALLS[name][0]


@pytest.mark.parametrize("name", WRONG_CALLS)
def test_wrong_calls_are_refused(name: str) -> None:
    steps: list[int] = []
    with pytest.raises(AdvplugError, match=WRONG_CALLS[name][1]):
        run(PGD(), **call(name), progress=lambda *_: steps.append(1))
    assert not steps


@pytest.mark.parametrize(("arguments", "message"), IMPOSSIBLE_THREATS)
def test_impossible_threat_models_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(AdvplugError, match=message):
        ThreatModel(**arguments)


@pytest.mark.parametrize("text", UNREADABLE_THREATS)
def test_unreadable_threats_are_refused(text: str) -> None:
    with pytest.raises(AdvplugError):
        ThreatModel.parse(text)


def test_a_budget_wider_than_the_bounds_is_asked_about() -> None:
    with pytest.raises(AdvplugError, match=r"wider than the bounds \(0\.0, 1\.0\): did you mean linf:8/255\?"):
        ThreatModel.parse("linf:8")
    assert ThreatModel.parse("linf:8", bounds=(0.0, 255.0)).epsilon == 8
    assert ThreatModel.parse("linf:1").epsilon == 1
    assert ThreatModel.parse("l2:8").epsilon == 8


def test_threats_are_read_as_people_write_them() -> None:
    assert ThreatModel.parse("Linf:8/255") == ThreatModel.parse("linf:8/255")
    assert ThreatModel.parse("linf:8/255").epsilon == pytest.approx(8 / 255)
    assert ThreatModel.parse("l2:0.5") == ThreatModel("l2", 0.5)
    assert ThreatModel.parse("l1:min") == ThreatModel("l1", None)
    assert str(ThreatModel.parse("linf:0.3")) == "linf:0.3"


@pytest.mark.parametrize("arguments", [{"steps": 0}, {"step_size": 0.0}, {"rule": "up"}, {"schedule": "never"}])
def test_impossible_hyper_parameters_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(AdvplugError, match=next(iter(arguments))):
        PGD(**arguments)


def test_unknown_options_are_named() -> None:
    with pytest.raises(TypeError, match="earlyend"):
        run(PGD(), linear_model(3, (10,)), X, Y, LINF, earlyend=True)


def test_bounds_of_model_and_threat_must_agree() -> None:
    from advplug.model import PlainModel

    with pytest.raises(AdvplugError, match="takes inputs in"):
        run(PGD(), PlainModel(linear_model(3, (10,)), 3, (0.0, 1.0)), X, Y, ThreatModel("linf", 0.1, (-1.0, 1.0)))


def test_options_are_checked_on_their_own() -> None:
    with pytest.raises(AdvplugError, match="draws"):
        Options(draws=0)
    assert np.isfinite(Options().memory_budget)
