"""Losses and gradients as text: what is written is read back as it was, and what is wrong is named."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import eagerpy as ep
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from advplug import losses
from advplug.errors import InvalidInput
from advplug.families import LinearReadout, MeanOverMembers
from advplug.gradients import BPDA, EOT, Exact, FiniteDifference, GradientEstimator, Orthogonal, Selective, Smoothed
from advplug.losses import (
    DLR,
    ActivationLoss,
    CentreDistance,
    ClassGaps,
    CrossEntropy,
    DetectorScore,
    FeatureMatching,
    Joint,
    Logit,
    LogitMatching,
    Loss,
    Margin,
    MultiTargetLogit,
    TemperedCrossEntropy,
    View,
)
from advplug.spelling import gradient_words, loss_words, read_gradient, read_loss, written
from advplug.spelling.grammar import split
from advplug.tracing import Traced

numbers = st.floats(-1e30, 1e30, allow_nan=False)
positive = st.floats(1e-12, 1e12)
counts = st.integers(1, 10**6)
names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=12)

plain = st.one_of(
    st.builds(CrossEntropy),
    st.builds(DLR),
    st.builds(Margin, numbers | st.just(math.inf)),
    st.builds(DetectorScore, numbers),
    st.builds(TemperedCrossEntropy, positive),
    st.builds(MultiTargetLogit, numbers, numbers, numbers),
    st.builds(ClassGaps, counts),
)
some_losses = st.recursive(
    plain,
    lambda inner: st.one_of(
        st.builds(LinearReadout, names, names, inner),
        st.builds(MeanOverMembers, inner, names),
        st.builds(Joint, st.lists(st.tuples(numbers, inner), min_size=1, max_size=3).map(tuple)),
    ),
    max_leaves=4,
)
schedules = st.lists(st.integers(1, 99), max_size=3, unique=True).map(
    lambda steps: tuple((step, 2 + step) for step in (0, *sorted(steps)))
)
some_gradients = st.recursive(
    st.one_of(st.just(Exact()), st.builds(FiniteDifference, positive, st.integers(2, 999) | schedules)),
    lambda inner: st.one_of(
        st.builds(EOT, counts, inner),
        st.builds(Smoothed, positive, counts, inner, st.booleans(), st.booleans()),
        st.builds(BPDA, inner),
        st.builds(Selective, some_losses, inner),
        st.builds(Orthogonal, some_losses, inner),
    ),
    max_leaves=3,
)


@given(some_losses)
def test_a_loss_is_read_back_as_it_was_written(loss: Loss) -> None:
    text = written(loss)
    assert read_loss(text) == loss
    assert repr(read_loss(text)) == repr(loss)
    assert written(read_loss(text)) == text


@given(some_gradients)
def test_a_gradient_is_read_back_as_it_was_written(gradient: GradientEstimator) -> None:
    text = written(gradient)
    assert read_gradient(text) == gradient
    assert written(read_gradient(text)) == text


@given(st.lists(st.one_of(some_losses, some_gradients).map(written), min_size=1, max_size=4))
def test_a_list_is_split_at_its_own_commas_alone(texts: list[str]) -> None:
    assert split(" , ".join(texts)) == texts


def reading(read: Callable[[str], Any], text: str) -> Any:
    """What ``text`` means, or why it means nothing."""
    try:
        return read(text)
    except InvalidInput as error:
        return str(error)


@given(st.text("margineot:()+*,=' of0.5\"\\-", max_size=20))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    for read in (read_loss, read_gradient):
        found = reading(read, text)
        if isinstance(found, str):
            assert "\n" not in found
        else:
            assert read(written(found)) == found


def test_the_words_are_the_public_classes() -> None:
    public = {name for name in vars(losses) if isinstance(getattr(losses, name), type)}
    concrete = {
        name
        for name in public
        if issubclass(getattr(losses, name), Loss) and not getattr(getattr(losses, name), "__abstractmethods__", ())
    }
    assert {kind.__name__ for kind in loss_words().values()} == (concrete - {"Joint"}) | {
        "LinearReadout",
        "Lookalike",
        "MeanOverMembers",
        "Acceptance",
        "AtLogProbabilities",
        "CTC",
    }
    assert {"cross-entropy", "dlr", "targeted-dlr", "multi-target-logit", "logit-matching"} <= set(loss_words())
    assert set(gradient_words().values()) == {
        *(Exact, EOT, Smoothed, BPDA, FiniteDifference, Selective, Orthogonal, Traced),
    }


@pytest.mark.parametrize(
    ("text", "loss"),
    [
        ("margin", Margin()),
        ("margin:5", Margin(5)),
        ("multi-target-logit(a=2, b=1/4)", MultiTargetLogit(a=2, b=0.25)),
        ("0.5*margin+10*detector", Joint(((0.5, Margin()), (10, DetectorScore())))),
        ("margin + detector-score", Joint(((1, Margin()), (1, DetectorScore())))),
        ("-1/4*logit", Joint(((-0.25, Logit()),))),
        ("1e-3*margin+2*(logit+margin:0)", Joint(((1e-3, Margin()), (2, Joint(((1, Logit()), (1, Margin(0)))))))),
        (
            "linear-readout(layer=fc.2, matrix='fc.2.weight') of margin:3",
            LinearReadout("fc.2", "fc.2.weight", Margin(3)),
        ),
        ("linear-readout(layer=a, matrix=b, of=margin+logit)", LinearReadout("a", "b", read_loss("margin+logit"))),
        ("mean-over-members of linear-readout(layer=a,matrix=b)", MeanOverMembers(LinearReadout("a", "b"))),
    ],
)
def test_spellings_of_losses(text: str, loss: Loss) -> None:
    assert read_loss(text) == loss


@pytest.mark.parametrize(
    ("text", "gradient"),
    [
        ("exact", Exact()),
        ("eot:20 of bpda", EOT(20, BPDA())),
        ("smoothed:50 of eot:10", Smoothed(0.5, 50, EOT(10))),
        ("smoothed(sigma=8/255, draws=4, clip=true, centre=True)", Smoothed(8 / 255, 4, clip=True, centre=True)),
        ("finite-differences:500", FiniteDifference(0.5, 500)),
        ("finite-difference(sigma=0.1, queries=((0, 10), (5, 40)))", FiniteDifference(0.1, ((0, 10), (5, 40)))),
        ("selective", Selective()),
        ("selective:detector of eot:5", Selective(DetectorScore(), EOT(5))),
        (
            "orthogonal(second=margin+2*detector, of=eot:2 of bpda)",
            Orthogonal(read_loss("margin+2*detector"), EOT(2, BPDA())),
        ),
        ("eot:2 of selective(second=logit) of eot:3 of bpda", EOT(2, Selective(Logit(), EOT(3, BPDA())))),
    ],
)
def test_spellings_of_gradients(text: str, gradient: GradientEstimator) -> None:
    defaults = {"smoothed": {"sigma": 0.5, "draws": 20}, "finite-difference": {"sigma": 0.5}}
    assert read_gradient(text, defaults) == gradient


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (read_loss, "margn", r"no loss 'margn' \(did you mean margin\?\): choose among cross-entropy, "),
        (read_loss, "joint", "no loss 'joint'"),
        (read_loss, "eot", "no loss 'eot'"),
        (read_loss, "", "write a name there"),
        (read_loss, "margin:", "write a value after the colon"),
        (read_loss, "margin(", "write NAME=VALUE"),
        (read_loss, "margin(confidence=3", r"write ',' there"),
        (read_loss, "margin(3)", "write NAME=VALUE"),
        (read_loss, "margin(confidence=)", "write a value of confidence"),
        (read_loss, "margin)", r"write the end, '\+' or ' of ' there"),
        (read_loss, "margin logit", "write the end"),
        (read_loss, "1/0*margin", r"write a number before \*"),
        (read_loss, "margin(confidnce=3)", r"no parameter confidnce \(did you mean confidence\?\): it has confidence"),
        (read_loss, "margin:3(confidence=3)", "confidence is given twice"),
        (read_loss, "logit:3", "logit takes no number"),
        (read_loss, "dlr of margin", "dlr takes nothing"),
        (read_loss, "linear-readout(layer=a)", r"needs matrix: write linear-readout\(matrix=...\)"),
        (read_loss, "mean-over-members", "needs of: write mean-over-members of NAME"),
        (read_loss, "linear-readout(layer=a,matrix=b,of=logit) of margin", "takes nothing more"),
        (read_loss, "tempered-cross-entropy:0", "temperature is 0: give a positive number"),
        (read_loss, "logit-matching:absent.npy", "no such file"),
        (read_gradient, "exakt", r"no gradient 'exakt' \(did you mean exact\?\)"),
        (read_gradient, "2*eot:3", "weights and sums are for losses"),
        (read_gradient, "eot:3+bpda", "weights and sums are for losses"),
        (read_gradient, "eot", "needs draws"),
        (read_gradient, "eot:many", "draws is 'many': give a whole number"),
        (read_gradient, "eot:2 of finite-difference(sigma=0)", "sigma is 0"),
        (read_gradient, "finite-difference(sigma=1) of bpda", "takes nothing"),
        (read_gradient, "selective:margn", "did you mean margin"),
    ],
)
def test_what_is_wrong_is_named(read: Callable[[str], object], text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        read(text)
    assert "\n" not in str(caught.value)


def test_references_come_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    array = torch.arange(6.0).view(2, 3)
    np.save("a.npy", array.numpy().astype(np.int64))
    np.savez("a.npz", refs=array.numpy())
    torch.save(array, "a.pt")
    save_file({"refs": array}, "a.safetensors")
    for file in ("a.npy", "a.npz", "a.pt", "a.safetensors"):
        found = read_loss(f"logit-matching(references={file}, by=class)")
        assert isinstance(found, LogitMatching)
        assert (found.by, found.references.dtype) == ("class", torch.float32)
        assert torch.equal(found.references, array)
    matching, centres = read_loss("feature-matching:fc(references=a.npy)"), read_loss("centre-distance:a.npy")
    assert isinstance(matching, FeatureMatching)
    assert isinstance(centres, CentreDistance)
    assert (matching.layer, centres.layer) == ("fc", "features")
    with pytest.raises(InvalidInput, match="references of LogitMatching is a Tensor, which no text can say"):
        written(found)


@pytest.mark.parametrize("name", ["two.npz", "nan.npy", "text.npy", "damaged.pt", "damaged.safetensors", "list.pt"])
def test_files_that_hold_no_array_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("two.npz", a=np.zeros(2), b=np.zeros(2))
    np.save("nan.npy", np.array([np.nan]))
    np.save("text.npy", np.array(["a"]))
    torch.save([torch.zeros(2)], "list.pt")
    for file in ("damaged.pt", "damaged.safetensors"):
        Path(file).write_bytes(b"hello")
    with pytest.raises(InvalidInput, match=name) as caught:
        read_loss(f"logit-matching:{name}")
    assert "\n" not in str(caught.value)


OWN = """
from dataclasses import dataclass
from advplug.gradients import EOT, Exact, GradientEstimator
from advplug.losses import Loss, Margin

@dataclass(frozen=True)
class Mine(Loss):
    k: float = 1.0
    def __call__(self, view):
        return self.k * view.logits[:, 0]

class Plain(Loss):
    def __init__(self, of: Loss, power=1):
        self.of, self.power = of, power
    def __call__(self, view):
        return self.of(view) ** self.power

@dataclass(frozen=True)
class Twice(GradientEstimator):
    of: GradientEstimator = Exact()
    def __call__(self, objective, x, noise, step):
        return self.of(objective, x, noise, step)

ready = Mine(3.0)

def make(k=2.0):
    return Mine(k)

def fails():
    raise RuntimeError("no licence")

def wrong():
    return 3

def sum_of(activation, view):
    return activation.flatten(1).sum(1)

number = 3
"""


def test_components_of_the_users_own(folder: Any) -> None:
    folder.write({"own_parts": OWN})
    own: Any = read_loss("own_parts:Mine")
    own_parts: Any = sys.modules["own_parts"]
    assert own == own_parts.Mine()
    assert read_loss("2*own_parts:Mine(k=1/2)+margin") == Joint(((2, own_parts.Mine(0.5)), (1, Margin())))
    assert read_loss("own_parts:ready") is own_parts.ready
    assert read_loss("own_parts:make(k=5)") == own_parts.Mine(5)
    wrapped: Any = read_loss("own_parts:Plain(power=3) of margin:2")
    assert (wrapped.of, wrapped.power) == (Margin(2), 3)
    assert repr(wrapped) == "Plain(of=Margin(confidence=2), power=3)", "the same in every process"
    nested = read_gradient("eot:3 of own_parts:Twice of bpda")
    assert nested == EOT(3, own_parts.Twice(BPDA()))
    assert written(nested) == "eot(draws=3) of own_parts:Twice of bpda"
    named: Any = read_loss("activation-loss:fc(function=own_parts:sum_of)")
    assert named == ActivationLoss("fc", own_parts.sum_of)
    assert read_loss(written(named)) == named


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("own_parts:Absent", "own_parts has no Absent"),
        ("own_absent:Mine", "no module own_absent is to be found, nor is own_absent a loss"),
        ("own_parts:Twice", "is the class Twice: name a class derived from advplug.losses.Loss"),
        ("own_parts:number", "is of type int: name a class derived from"),
        ("own_parts:wrong", "gives type int: name a class derived from"),
        ("own_parts:fails", "RuntimeError: no licence"),
        ("own_parts:Mine(q=3)", r"no parameter q: it has k"),
        ("own_parts:ready(k=3)", "is an instance: leave the settings out"),
        ("own_parts:Plain", "missing 1 required positional argument"),
        ("own_parts.py:Mine", "names a file: write own_parts:Mine"),
    ],
)
def test_what_is_no_loss_of_the_users_is_named(folder: Any, text: str, message: str) -> None:
    folder.write({"own_parts": OWN})
    with pytest.raises(InvalidInput, match=message):
        read_loss(text)


def test_what_no_text_can_say_is_refused() -> None:
    def local(activation: ep.Tensor, view: View) -> ep.Tensor:
        return activation

    @dataclass(frozen=True)
    class Odd(Loss):
        held: object = None

        def __call__(self, view: View) -> ep.Tensor:
            return view.x

    assert [field.name for field in fields(Odd)] == ["held"]
    for loss in (ActivationLoss("fc", local), Odd(held=object())):
        with pytest.raises(InvalidInput, match="which no text can say"):
            written(loss)
