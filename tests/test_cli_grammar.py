"""One grammar for all commands: presets, data, threat models, settings, and hints where a word is nearly right."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import advplug
from advplug import ThreatModel, load
from advplug.cli import _evaluation, run
from advplug.cli._presets import chosen, with_preset
from advplug.engine.problem import make_problem
from advplug.errors import InvalidInput, near, nearest
from advplug.evaluation import model_job
from advplug.plugins.manager import default_manager
from advplug.testing.linear import linear_model


@pytest.mark.parametrize(
    ("text", "preset", "key", "found"),
    [
        ("kwta", None, "adaptive:kwta", None),
        ("kwta:cifar10", None, "adaptive:kwta", "cifar10"),
        ("kwta", "cifar10", "adaptive:kwta", "cifar10"),
        ("kwta:cifar10", "cifar10", "adaptive:kwta", "cifar10"),
        ("adaptive:kwta:cifar10", None, "adaptive:kwta", "cifar10"),
        ("my-kwta:adaptive:kwta:cifar10", None, "my-kwta:adaptive:kwta", "cifar10"),
        ("my-kwta:adaptive:kwta", "mnist", "my-kwta:adaptive:kwta", "mnist"),
    ],
)
def test_a_preset_stands_behind_the_name_or_in_the_option(
    text: str, preset: str | None, key: str, found: str | None
) -> None:
    assert chosen(text, preset, "adaptive") == (key, found)


def test_two_presets_and_other_kinds_are_refused() -> None:
    with pytest.raises(InvalidInput, match="kwta:cifar10 names the preset cifar10, --preset mnist another"):
        chosen("kwta:cifar10", "mnist", "defense")
    with pytest.raises(InvalidInput, match="attack:pgd is no defense"):
        chosen("attack:pgd", None, "defense")
    with pytest.raises(InvalidInput, match="own_net:Net is no defense plugin"):
        with_preset("own_net:Net", "mnist", default_manager())


@pytest.mark.parametrize("words", [["kwta:cifar10"], ["kwta", "--preset", "cifar10"]])
@pytest.mark.parametrize("command", ["break", "evaluate"])
def test_every_command_takes_both(
    command: str, words: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    orders: list[Any] = []
    monkeypatch.setattr(_evaluation, "carry_out", lambda order, *_: orders.append(order))
    assert run([command, *words, *(["--attacks", "pgd"] if command == "evaluate" else [])]) == 0
    values = orders[0].values
    assert (values.get("case"), values.get("preset")) == ("kwta", "cifar10") or values["model"] == "kwta:cifar10"


@pytest.mark.parametrize("words", [["kwta:mnist-at"], ["kwta", "--preset", "mnist-at"]])
def test_a_search_takes_both(words: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    jobs: list[Any] = []

    def stop(job: Any, *_: Any, **__: Any) -> None:
        jobs.append(job)
        raise InvalidInput("far enough")

    monkeypatch.setattr("advplug.composition.run.search", stop)
    assert run(["search", *words, "--limit", "2"]) == 2
    assert (jobs[0].case, jobs[0].preset) == ("kwta", "mnist-at")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("pdg", "pgd"),
        ("PGD", "pgd"),
        ("APDG", "apgd"),
        ("pgdd", "pgd"),
        ("apdg", "apgd"),
        ("squares", "square"),
        ("xyz", ""),
    ],
)
def test_swapped_letters_count_as_one_slip(name: str, meant: str) -> None:
    """``pdg`` was taken for ``pdpgd``, which shares one more letter with it."""
    attacks = [spec.name for spec in default_manager().specs("attack") if not spec.bridged]
    assert nearest(name, attacks) == meant
    assert near(name, attacks) == (f" (did you mean {meant}?)" if meant else "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["show", "pdg"], "did you mean attack:pgd?"),
        (["show", "attack:pdg"], "did you mean attack:pgd?"),
        (["show", "kwat"], "did you mean adaptive:kwta or defense:kwta?"),
        (["evaluate", "kwta", "--attacks", "pdg"], "did you mean attack:pgd?"),
        (["evaluate", "kwta", "--attacks", "pgd", "--threat", "linf:8"], "did you mean linf:8/255?"),
        (["evaluate", "kwta", "--attacks", "pgd", "--set", "pgd.steps=abc"], "steps=abc: steps is 'abc': give a whole"),
        (["evaluate", "kwta", "--attacks", "pgd", "--set", "pgd.steps=abc"], "(Count)"),
        (["evaluate", "kwta", "--attacks", "pgd", "--set", "pgd.stepz=3"], "did you mean steps?"),
        (
            ["evaluate", "kwta", "--attacks", "foolbox:LinfPGD", "--set", "foolbox:LinfPGD.steps=x"],
            "steps is 'x': give",
        ),
        (
            ["evaluate", "kwta", "--attacks", "foolbox:LinfPGD", "--set", "foolbox:LinfPGD.steps=x"],
            "whole number (int)",
        ),
    ],
)
def test_what_is_nearly_right_gets_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(words) in (2, 4)
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["evaluate", "kwta", "--attack", "pgd"], "Did you mean --attacks?"),
        (["evaluate", "kwta", "--eps", "0.1"], "Did you mean --epsilons?"),
        (["evaluate", "kwta", "--batchsize", "8"], "Did you mean --batch-size?"),
        (["evaluate", "kwta", "--steps", "100"], "A parameter of an attack is --set ATTACK.steps=VALUE."),
        (["evaluate", "kwta", "--step-size=0.1"], "A parameter of an attack is --set ATTACK.step_size=VALUE."),
        (["break", "kwta", "--attacks", "pgd"], "Did you mean --attack?"),
        (["list", "--knid", "attack"], "Did you mean --kind?"),
        (["list", "--zzz"], "--zzz"),
        (["--verison"], "Did you mean --version?"),
    ],
)
def test_an_option_that_there_is_not(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Once ``--steps`` was taken for --set, --sweep or --threads, and ``--eps`` for --fresh, --help or --sweep."""
    assert run(words) == 2
    assert capsys.readouterr().err.splitlines()[-1].rstrip("'.").endswith(message.rstrip("."))  # as click writes it


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("kwta", "Did you mean advplug break kwta?"),
        ("attack:pgd", "Did you mean advplug show attack:pgd?"),
        ("evalaute", "Did you mean evaluate?"),
        ("zzzzzz", "No such command 'zzzzzz'."),
    ],
)
def test_a_command_that_there_is_not(word: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The name of a plugin once had no hint."""
    assert run([word]) == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith(message)


def test_the_kind_of_plugins_is_a_word_or_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    """``advplug list attack`` was once an unexpected argument."""
    assert run(["list", "attack", "--json"]) == 0
    word = capsys.readouterr().out
    assert run(["list", "--kind", "attack", "--json"]) == 0
    assert capsys.readouterr().out == word
    assert {plugin["kind"] for plugin in json.loads(word)["plugins"]} == {"attack"}
    assert run(["list", "attack", "--kind", "defense"]) == 2
    assert "list takes one kind: attack or defense" in capsys.readouterr().err


def test_without_a_network_the_reason_is_a_few_words(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message once quoted the address three times, with the name of each class in between."""
    import pooch
    import requests

    def retrieve(url: str, *_: Any, **__: Any) -> str:
        raise requests.ConnectionError(f"HTTPSConnectionPool(host='{url}'): Max retries exceeded (Caused by ...)")

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    monkeypatch.setenv("ADVPLUG_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert run(["evaluate", "kwta:cifar10", "--attacks", "pgd"]) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert "cifar-10-binary.tar.gz: no connection)" in line
    assert "Max retries" not in line


def test_the_package_runs_as_a_module() -> None:
    answer = subprocess.run([sys.executable, "-m", "advplug", "--version"], capture_output=True, text=True, check=True)
    assert answer.stdout.strip().endswith(advplug.__version__)


def test_a_threat_model_may_be_text_wherever_one_is_taken() -> None:
    model, x = linear_model(3, (4,)), torch.rand(6, 4, dtype=torch.float64)
    y = model(x).argmax(1)
    attack = load("attack:pgd")(steps=3)
    text, written = "linf:32/255", ThreatModel("linf", 32 / 255)
    assert make_problem(model, x, y, text).threat == written
    said, made = (advplug.run(attack, model, x, y, threat) for threat in (text, written))
    assert torch.equal(said.adversarials, made.adversarials)
    recipe = advplug.Recipe(name="pgd", attack=attack)
    assert model_job("line", model, advplug.Images(x, y), text, [recipe]).threat == written
    with pytest.raises(InvalidInput, match="did you mean linf:8/255"):
        advplug.run(attack, model, x, y, "linf:8")
    with pytest.raises(InvalidInput, match=r"threat is 0\.1: pass a ThreatModel, or text"):
        advplug.run(attack, model, x, y, 0.1)  # type: ignore[arg-type]


def test_text_takes_the_bounds_of_the_model() -> None:
    class Pixels(advplug.DefendedModel):
        def __init__(self) -> None:
            super().__init__(2, bounds=(0.0, 255.0))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.stack((127 - x[:, 0], x[:, 0] - 127), 1)

    x = torch.tensor([[120.0], [140.0]])
    problem = make_problem(Pixels(), x, torch.tensor([0, 1]), "linf:8")
    assert (problem.threat.epsilon, problem.threat.bounds) == (8, (0.0, 255.0))
