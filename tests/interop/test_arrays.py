"""Arrays as people have them, in calls of ART's and Foolbox's form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import eagerpy as ep
import foolbox
import numpy as np
import pytest
import torch
from advplug_attack_pgd import PGD
from art.defences.preprocessor import Preprocessor
from art.estimators.classification import BlackBoxClassifier, PyTorchClassifier
from torch import Tensor, nn

from advplug.errors import InvalidInput
from advplug.interop.arrays import tensor_of
from advplug.interop.art import as_art_attack, as_art_detector, from_art_classifier
from advplug.interop.art.evasion import AdvplugEvasionAttack
from advplug.model import Decision, PlainModel
from advplug.threat import ThreatModel

Blobs = tuple[Tensor, Tensor]


def backwards(array: Any) -> Any:
    """An equal array with negative strides."""
    return array[::-1].copy()[::-1]


def swapped(array: Any) -> Any:
    """An equal array in the other byte order."""
    return array.astype(array.dtype.newbyteorder("S"))


def locked(array: Any) -> Any:
    array = array.copy()
    array.flags.writeable = False
    return array


FORMS: list[Callable[[Any], Any]] = [backwards, swapped, locked, np.asfortranarray]


@pytest.fixture
def pgd(network: nn.Module) -> AdvplugEvasionAttack:
    classifier = PyTorchClassifier(network, nn.CrossEntropyLoss(), (12,), 4, clip_values=(0, 1))
    return as_art_attack(PGD(steps=3), classifier, threat=ThreatModel("linf", 0.1))


@pytest.mark.parametrize("form", FORMS)
def test_arrays_in_every_form(form: Callable[[Any], Any], pgd: AdvplugEvasionAttack, blobs: Blobs) -> None:
    inputs, labels = blobs[0][:20].numpy(), blobs[1][:20].numpy()
    rows, ones = np.eye(4, dtype=np.float32)[labels], np.ones((1, 12), np.float32)
    expected = pgd.generate(inputs, labels, x_adv_init=inputs, mask=ones)
    assert (expected != inputs).any()
    for y in (labels, rows):
        found = pgd.generate(form(inputs), form(y), x_adv_init=form(inputs), mask=form(ones))
        assert np.array_equal(found, expected)
    fmodel = foolbox.PyTorchModel(pgd.estimator.model, bounds=(0, 1), device="cpu")
    attack = PGD(steps=3)
    given = torch.from_numpy(inputs)
    success = attack(fmodel, given, form(labels), epsilons=0.1, starting_points=form(inputs))[2]
    assert torch.equal(success, attack(fmodel, given, blobs[1][:20], epsilons=0.1, starting_points=given)[2])


class Mirrored(Preprocessor):  # type: ignore[misc]
    """Turns features round, in views with negative strides."""

    def __call__(self, x: Any, y: Any = None) -> tuple[Any, Any]:
        return x[:, ::-1], y

    def estimate_gradient(self, x: Any, grad: Any) -> Any:
        return grad[:, ::-1]


def test_views_that_parts_of_art_return(network: nn.Module, model: PlainModel, blobs: Blobs) -> None:
    inputs = blobs[0][:20]
    settings = {"clip_values": (0, 1), "preprocessing_defences": Mirrored()}
    mirrored = from_art_classifier(PyTorchClassifier(network, nn.CrossEntropyLoss(), (12,), 4, **settings))
    x = inputs.clone().requires_grad_()
    scores = mirrored(x)
    torch.testing.assert_close(scores, network(inputs.flip(1)))
    gradient = torch.autograd.grad(scores.sum(), x)[0]
    y = inputs.flip(1).requires_grad_()
    torch.testing.assert_close(gradient, torch.autograd.grad(network(y).sum(), y)[0].flip(1))
    scored = BlackBoxClassifier(lambda x: network(torch.from_numpy(x)).detach().numpy()[:, ::-1], (12,), 4, (0, 1))
    torch.testing.assert_close(from_art_classifier(scored)(inputs), network(inputs).flip(1))
    detector = as_art_detector(Bright(model.module, 4).eval())
    assert np.array_equal(detector.detect(inputs.numpy()[:, ::-1])[1], inputs.mean(1).numpy() >= 0.5)


class Bright(PlainModel):
    def decide(self, x: Tensor) -> Decision:
        return Decision(self(x).argmax(1), x.mean(1) < 0.5)


def test_one_column_that_numpy_calls_contiguous() -> None:
    column = np.arange(3.0)[:, None][:, ::-1]
    assert torch.equal(tensor_of("x", column), torch.arange(3.0, dtype=torch.float64)[:, None])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64, np.int8, ">i2"])
def test_labels_of_every_integer_type(dtype: Any, pgd: AdvplugEvasionAttack, few: Blobs) -> None:
    inputs, labels = few
    numbers = labels.numpy().astype(dtype)
    assert np.array_equal(pgd.generate(inputs.numpy(), numbers), pgd.generate(inputs.numpy(), labels.numpy()))
    fmodel = foolbox.PyTorchModel(pgd.estimator.model, bounds=(0, 1), device="cpu")
    success = PGD(steps=3)(fmodel, inputs, labels, epsilons=0.1)[2]
    given: list[Any] = [numbers, ep.astensor(tensor_of("labels", numbers))]
    if dtype == np.uint16:
        given.append(labels.to(torch.uint16))
    for numbered in given:
        assert torch.equal(PGD(steps=3)(fmodel, inputs, numbered, epsilons=0.1)[2], success)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float16, np.longdouble, bool])
def test_inputs_are_cast_as_art_casts_them(dtype: Any, network: nn.Module, few: Blobs) -> None:
    inputs = (few[0].numpy() > 0.5).astype(dtype)
    classifier = PyTorchClassifier(network, nn.CrossEntropyLoss(), (12,), 4, clip_values=(0, 1))
    attack = as_art_attack(PGD(steps=3), classifier, threat=ThreatModel("linf", 0.3))
    found = attack.generate(inputs)
    assert found.dtype == (np.float64 if dtype == np.longdouble else np.float32)
    assert np.array_equal(found, attack.generate(inputs.astype(np.float32)).astype(found.dtype))
    assert 0 < np.abs(found - inputs.astype(np.float32)).max() <= 0.3 * (1 + 1e-6)


def test_rows_of_labels(pgd: AdvplugEvasionAttack, few: Blobs) -> None:
    inputs, labels = few[0].numpy(), few[1].numpy()
    expected = pgd.generate(inputs, labels)
    rows = np.eye(4)[labels]
    for y in (
        rows,
        rows.astype(bool),
        rows.astype(int),
        0.9 * rows + 0.025,
        torch.from_numpy(rows),
        torch.eye(4)[few[1]].to_sparse(),
        rows - 1,
    ):
        assert np.array_equal(pgd.generate(inputs, y), expected)


@pytest.mark.parametrize(
    ("y", "said"),
    [
        (np.zeros((12, 4)), r"y\[0\] has no single largest value"),
        (np.full((12, 4), 0.25), r"y\[0\] has no single largest value"),
        (np.full((12, 4), np.nan), "holds NaN"),
        (np.full(12, np.inf), "holds NaN"),
        (np.full(12, np.nan), "holds NaN"),
        (np.eye(3)[np.arange(12) % 3], "rows of 3 values.* 4 classes"),
        (np.eye(6)[np.arange(12) % 4], "rows of 6 values.* 4 classes"),
        (np.zeros(12) + 0.5, "fractions"),
        (np.zeros((12, 2, 2)), "shape"),
        (np.zeros(12).astype(str), "y is of type <U"),
        (np.zeros(12).astype(object), "y is of type object"),
        (np.zeros(12).astype(complex), "y is of type complex128"),
        (torch.zeros(12, dtype=torch.complex64), r"y is of type torch\.complex64"),
        ([[1], [1, 2]], "y is no array"),
    ],
)
def test_labels_that_mean_nothing_are_refused(y: Any, said: str, pgd: AdvplugEvasionAttack, few: Blobs) -> None:
    with pytest.raises(InvalidInput, match=said) as told:
        pgd.generate(few[0].numpy(), y)
    assert "\n" not in str(told.value)


MASKED = np.ma.masked_array(np.ones((12, 12)), np.eye(12))


@pytest.mark.parametrize(
    "values", [np.full((12, 12), "a"), np.full((12, 12), None), [[1], [1, 2]], np.eye(12) * 1j, MASKED]
)
def test_what_is_no_array_is_refused(values: Any, pgd: AdvplugEvasionAttack, few: Blobs) -> None:
    x, y = few[0].numpy(), few[1].numpy()
    for call in (
        lambda: pgd.generate(values, y),
        lambda: pgd.generate(x, y, mask=values),
        lambda: pgd.generate(x, y, x_adv_init=values),
    ):
        with pytest.raises(InvalidInput) as told:
            call()
        assert "\n" not in str(told.value)
    fmodel = foolbox.PyTorchModel(pgd.estimator.model, bounds=(0, 1), device="cpu")
    with pytest.raises(InvalidInput, match="criterion is of type <U"):
        PGD(steps=1)(fmodel, few[0], y.astype(str), epsilons=0.1)


def test_numbers_beyond_floats_are_refused(pgd: AdvplugEvasionAttack, few: Blobs) -> None:
    fmodel = foolbox.PyTorchModel(pgd.estimator.model, bounds=(0, 1), device="cpu")
    with pytest.raises(InvalidInput, match="too large"):
        PGD(steps=1)(fmodel, *few, epsilons=10**5000)
    for name in ("eps", "norm"):
        with pytest.raises(InvalidInput, match=f"{name} is"):
            pgd.set_params(**{name: 10**400})
