"""``advplug evaluate`` with composed losses and gradients, and the words that it takes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from light_model import LIGHT

from advplug.cli import run
from advplug.spelling import gradient_words, loss_words, read_gradient

PARTS = (
    LIGHT
    + """
from dataclasses import dataclass

from advplug.losses import Loss

class Steps(torch.nn.Module):
    def forward(self, x):
        return Light()((x * 256).round() / 256 + 0 * x)

class Own(Loss):
    def __init__(self, k=1):
        self.k = k

    def __call__(self, view):
        return self.k * view.logits[:, 0]

def first(activation, view):
    return activation.flatten(1)[:, 0]
"""
)


@pytest.fixture
def rows(folder: Any, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs the command on eight inputs (8, 2) and gives the rows of its record."""
    folder.write({"own_light": PARTS})
    x = np.stack((np.linspace(0, 1, 8), np.full(8, 0.2)), 1).astype(np.float32)
    np.savez("data.npz", x=x, y=(x[:, 0] > 0.5).astype(int))
    np.save("refs.npy", np.array([[-9.0, 9.0], [9.0, -9.0]]))

    def call(*arguments: str, model: str = "own_light:Light") -> Any:
        common = ("--data", "data.npz", "--threat", "linf:0.25", "--attacks", "pgd", "--no-report", "--fresh", "--json")
        code = run(["evaluate", model, *common, *arguments])
        out, err = capsys.readouterr()
        assert code == 0, err
        return json.loads(out)["rows"]

    return call


def test_sums_and_compositions(rows: Callable[..., Any]) -> None:
    losses, gradients = "0.5*margin+2*logit, margin(confidence=1/4)", "eot:2 of exact,selective:logit of eot:3"
    found = rows("--loss", losses, "--gradient", gradients)
    assert [row["name"] for row in found] == [
        "pgd, 0.5*margin+2*logit, eot:2 of exact",
        "pgd, 0.5*margin+2*logit, selective:logit of eot:3",
        "pgd, margin(confidence=1/4), eot:2 of exact",
        "pgd, margin(confidence=1/4), selective:logit of eot:3",
    ]
    assert [row["components"]["loss"] for row in found[::2]] == [
        "Joint(terms=((0.5, Margin(confidence=inf)), (2.0, Logit())))",
        "Margin(confidence=0.25)",
    ]
    assert [row["components"]["gradient"] for row in found[:2]] == [
        "EOT(draws=2, of=Exact())",
        "Selective(second=Logit(), of=EOT(draws=3, of=Exact()))",
    ]
    assert {row["robust_accuracy"] for row in found} == {0.5}


@pytest.mark.parametrize(
    "loss",
    [
        "logit-matching(references=refs.npy, by=class)",
        "activation-loss:inner(function=own_light:first)+margin",
        "margin+10*detector",
        "tempered-cross-entropy:20",
        "log-margin",
    ],
)
def test_losses_with_files_functions_and_detectors(rows: Callable[..., Any], loss: str) -> None:
    (row,) = rows("--loss", loss)
    assert row["robust_accuracy"] <= 0.75


def test_rows_of_references_stay_with_their_samples(
    rows: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """The references are the logits of the other side: a row that goes to another sample would lead it home."""
    light = np.linspace(0, 1, 8) - 0.5
    np.save("each.npy", np.stack((light, -light), 1))
    for loss in ("logit-matching:each.npy", "2*logit-matching:each.npy+0*margin"):
        (row,) = rows(
            "--loss", loss, "--limit", "4", "--seed", "1", "--threat", "linf:1", "--set", "pgd.random_start=false"
        )
        assert row["robust_accuracy"] == 0
    np.save("five.npy", np.zeros((5, 2)))
    common = ["own_light:Light", "--data", "data.npz", "--threat", "linf:0.1", "--attacks", "pgd", "--limit", "4"]
    for option in (
        ["--loss", "logit-matching:five.npy"],
        ["--gradient", "selective:logit-matching(references=each.npy)"],
    ):
        assert run(["evaluate", *common, *option]) == 2
    err = capsys.readouterr().err
    assert "references have 5 rows, the data has 8 samples of which 4 are attacked" in err


@pytest.mark.parametrize("gradient", ["selective", "orthogonal", "orthogonal:detector of smoothed:2"])
def test_two_losses_and_one_step(rows: Callable[..., Any], gradient: str) -> None:
    (row,) = rows("--loss", "margin", "--gradient", gradient)
    assert row["components"]["gradient"].startswith(type(read_gradient(gradient.partition(" ")[0])).__name__)
    assert row["robust_accuracy"] == 0.5


def test_a_suite_keeps_its_linearising_stage_and_such_an_attack_alone_is_refused(
    rows: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    (row,) = rows("--attacks", "standard", "--gradient", "selective", "--limit", "2")
    assert row["robust_accuracy"] <= 1
    common = ["own_light:Light", "--data", "data.npz", "--threat", "linf:0.1", "--attacks", "deepfool"]
    assert run(["evaluate", *common, "--gradient", "eot:2 of selective"]) == 2
    message = "deepfool linearises several values of a sample: eot:2 of selective does nothing to it"
    assert message in capsys.readouterr().err


def test_a_stand_in_is_for_bpda_wherever_it_stands(
    rows: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    own = ("--surrogate", "own_light:Light", "--loss", "margin")
    (row,) = rows(*own, "--gradient", "eot:2 of bpda", model="own_light:Steps")
    assert row["robust_accuracy"] == 0.5
    common = ["own_light:Steps", "--data", "data.npz", "--threat", "linf:0.1", "--attacks", "pgd"]
    assert run(["evaluate", *common, *own, "--gradient", "eot:2"]) == 2
    assert "add bpda to --gradients" in capsys.readouterr().err


def test_a_loss_of_the_users_own(rows: Callable[..., Any]) -> None:
    (row,) = rows("--loss", "own_light:Own(k=-2)", "--out", "there")
    assert row["components"]["loss"] == "Own(k=-2)"


@pytest.mark.parametrize(("kind", "words"), [("losses", loss_words()), ("gradients", gradient_words())])
def test_every_word_is_shown_with_its_parameters(
    capsys: pytest.CaptureFixture[str], kind: str, words: dict[str, type]
) -> None:
    assert run(["show", kind]) == 0
    text = capsys.readouterr().out
    assert run(["show", kind, "--json"]) == 0
    pages = json.loads(capsys.readouterr().out)[kind]
    assert [page["name"] for page in pages][: len(words)] == list(words)  # those of installed plugins follow
    for page in pages:
        assert page["summary"]
        assert "\n" not in page["summary"]
        assert f"{page['name']}  {page['summary']}\n" in text
        assert all(f"  {name}" in text for name in page["parameters"])
    assert "package.module:NAME" in text


def test_the_help_names_the_lists(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "advplug show losses" in text
    assert "advplug show gradients" in text
