"""``advplug evaluate`` on a user's own module, a defense plugin, and a configuration file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from bright_plugin import Evaluate, Step, command


@pytest.fixture
def evaluate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Evaluate]:
    with command(monkeypatch, capsys, tmp_path) as call:
        yield call


OWN = ("--data", "data.npz", "--threat", "linf:0.25")


@pytest.mark.parametrize("name", ["mine.net:build", "mine.net:Light", "mine.net:ready"])
def test_a_users_own_module(evaluate: Evaluate, name: str) -> None:
    document = evaluate(name, *OWN, "--json").document
    assert document["case"] == name
    assert document["preset"] is None
    assert document["threat"] == "linf:0.25"
    assert document["clean_accuracy"] == 1
    assert [row["name"] for row in document["rows"]] == ["pgd, cross-entropy", "pgd, margin"]
    assert {row["role"] for row in document["rows"]} == {"attack"}
    assert {row["robust_accuracy"] for row in document["rows"]} == {0.5}
    assert document["broken"] is False  # exit code 0 all the same: nothing was claimed


def test_a_run_directory_that_cannot_be_written_is_refused_before_any_attack(
    evaluate: Evaluate, tmp_path: Path
) -> None:
    (tmp_path / "afile").write_text("x")
    answer = evaluate("mine.net:build", *OWN, "--attacks", "step", "--out", "afile")
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert answer.stderr.startswith("Error: the run directory afile cannot be written: ")
    assert "samples" not in answer.stderr, "no attack began"


def test_the_table_says_that_no_attack_was_adapted(evaluate: Evaluate, tmp_path: Path) -> None:
    answer = evaluate("mine.net:build", *OWN, "--attacks", "step")
    assert answer.exit_code == 0
    assert "None was adapted to this model" in answer.stdout.replace("\n", " ")
    assert answer.stderr.startswith("step: 8 samples ... done")
    (directory,) = (tmp_path / "advplug-runs").iterdir()
    assert directory.name == "mine.net-build-linf-0.25-n8-seed0"


MINIMUM = ("mine.net:build", "--data", "data.npz", "--threat", "linf:min", "--attacks", "walk")


def test_a_minimum_norm_run_gives_distances_and_the_accuracy_at_any_budget(evaluate: Evaluate) -> None:
    """Eight inputs, 1/14, 3/14, 5/14 and 7/14 from the boundary on either side."""
    (row,) = evaluate(*MINIMUM, "--epsilons", "0.1,1/4,0.4", "--json").document["rows"]
    assert row["robust_accuracy"] == 0
    assert row["median_distance"] == pytest.approx(0.25)
    assert row["mean_distance"] == pytest.approx((0.1 + 0.25 + 0.4 + 0.55) / 4, abs=0.02)
    assert row["sweep"] == [[0.1, 0.75], [0.25, 0.5], [0.4, 0.25]]


def test_the_table_of_a_minimum_norm_run_shows_them(evaluate: Evaluate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")  # a narrower terminal folds the heads
    text = evaluate(*MINIMUM, "--epsilons", "0.1").stdout
    head = next(line for line in text.splitlines() if line.startswith("role"))
    assert head.split() == [
        "role",
        "attack",
        "library",
        "accuracy",
        "median",
        "mean",
        "at",
        "0.1",
        "queries",
        "seconds",
    ]
    assert "half of the perturbations that walk found are at most 0.25" in " ".join(text.split())
    assert "published" not in text, "nothing was published: no column of nothing"


def test_a_sweep_of_even_steps_needs_a_budget_to_divide(evaluate: Evaluate) -> None:
    answer = evaluate(*MINIMUM, "--sweep", "4")
    assert answer.exit_code == 2
    assert "--epsilons" in answer.stderr


def test_each_attack_brings_its_own_loss_unless_one_is_named(evaluate: Evaluate) -> None:
    (row,) = evaluate(*MINIMUM, "--json").document["rows"]
    assert row["components"]["loss"] == "CrossEntropy()"
    (row,) = evaluate(*MINIMUM, "--loss", "logistic-margin", "--json").document["rows"]
    assert row["components"]["loss"] == "LogisticMargin()"


def test_losses_attacks_and_parameters(evaluate: Evaluate) -> None:
    settings = ("--set", "step.length=1/2", "--set", "step.signed=False", "--set", "step.label=text")
    document = evaluate(
        "mine.net:build", *OWN, "--attacks", "pgd, step", "--losses", "logit,margin", *settings, "--json"
    ).document
    assert [row["name"] for row in document["rows"]] == ["pgd, logit", "pgd, margin", "step, logit", "step, margin"]
    assert Step.made == [
        {"length": 1.0, "signed": True, "label": None},
        {"length": 0.5, "signed": False, "label": "text"},
    ]
    assert "length=0.5" in document["rows"][2]["components"]["attack"]


def test_gradients_are_crossed_with_losses(evaluate: Evaluate) -> None:
    words = ("--losses", "logit,margin", "--gradients", "exact, finite-differences:50,smoothed")
    document = evaluate("mine.net:build", *OWN, "--attacks", "step", *words, "--json").document
    assert [row["name"] for row in document["rows"]] == [
        f"step, {loss}, {gradient}"
        for loss in ("logit", "margin")
        for gradient in ("exact", "finite-differences:50", "smoothed")
    ]
    exact, differences, smoothed = document["rows"][:3]
    # What goes to the checks at both ends is the same for all three.
    assert (differences["queries"] - exact["queries"], differences["gradients"]) == (50, 0)
    assert (smoothed["queries"] - exact["queries"], smoothed["gradients"]) == (20, 20)
    assert {row["robust_accuracy"] for row in document["rows"]} == {0.5}


@pytest.mark.parametrize(
    ("threat", "sigma"),
    [("linf:0.25", 0.25), ("l2:0.25", 0.125), ("l1:0.25", 0.25 / 4 * 1.2533), ("l0:2", 0.1)],
)
def test_noise_has_the_size_of_the_budget(evaluate: Evaluate, tmp_path: Path, threat: str, sigma: float) -> None:
    x = np.linspace(0, 1, 32, dtype=np.float32).reshape(8, 1, 2, 2)
    np.savez(tmp_path / "four.npz", x=x, y=(x.mean((1, 2, 3)) > 0.5).astype(int))
    own = ("mine.net:build", "--data", "four.npz", "--threat", threat, "--attacks", "step", "--json")
    for name, word in (("finite-differences", "FiniteDifference"), ("smoothed", "Smoothed")):
        (row,) = evaluate(*own, "--gradients", name).document["rows"]
        assert row["name"] == "step"
        match = re.match(rf"{word}\(sigma=([\d.e-]+), ", row["components"]["gradient"])
        assert match is not None, row["components"]
        assert float(match[1]) == pytest.approx(sigma, rel=1e-4)


def test_finite_differences_see_past_a_model_without_gradients(evaluate: Evaluate) -> None:
    own = ("mine.net:Steps", *OWN, "--attacks", "step", "--json")
    document = evaluate(*own, "--gradients", "exact,finite-differences").document
    assert [row["robust_accuracy"] for row in document["rows"]] == [1, 0.5]
    troubles = {one["name"] for one in document["findings"] if one["status"] in ("warn", "fail")}
    assert troubles >= {"unusable-gradients", "masked-gradients"}


def test_bpda_uses_the_surrogate_of_a_defense(evaluate: Evaluate) -> None:
    document = evaluate("bright", "--attacks", "step", "--gradients", "bpda,eot:3", "--json").document
    assert [row["components"]["gradient"].partition("(")[0] for row in document["rows"]] == ["BPDA", "EOT"]
    assert "draws=3" in document["rows"][1]["components"]["gradient"]


def test_data_plugins_and_their_splits(evaluate: Evaluate) -> None:
    own = ("mine.net:build", "--threat", "linf:0.1", "--attacks", "step", "--json")
    assert evaluate(*own, "--data", "ramp").document["samples"] == 10
    assert evaluate(*own, "--data", "ramp:fit").document["samples"] == 4
    assert evaluate(*own, "--data", "ramp", "--limit", 3).document["samples"] == 3


def test_a_defense_brings_its_data_and_threat_model(evaluate: Evaluate) -> None:
    first = evaluate("bright", "--json").document
    assert (first["case"], first["preset"], first["threat"], first["samples"]) == ("bright", "first", "linf:0.3", 10)
    second = evaluate("bright:second", "--json").document
    assert (second["preset"], second["threat"], second["samples"]) == ("second", "linf:0.1", 4)
    other = evaluate("bright", "--threat", "linf:0.2", *OWN[:2], "--json").document
    assert (other["threat"], other["samples"]) == ("linf:0.2", 8)


def test_configuration_file_and_what_overrides_it(evaluate: Evaluate, tmp_path: Path) -> None:
    (tmp_path / "advplug.toml").write_text(
        'model = "mine.net:build"\ndata = "data.npz"\nthreat = "linf:0.25"\nattacks = ["step"]\nlimit = 6\n'
        'bounds = [0, 1]\ngradients = ["smoothed:2"]\nepsilons = ["1/8", 0.2]\nout = "there"\nset.step.length = 0.5\n'
    )
    document = evaluate("--config", "advplug.toml", "--json").document
    assert (document["case"], document["samples"], document["run_dir"]) == ("mine.net:build", 6, "there")
    assert [row["name"] for row in document["rows"]] == ["step"]
    assert [epsilon for epsilon, _ in document["rows"][0]["sweep"]] == [0.125, 0.2, 0.25]
    assert Step.made[-1]["length"] == 0.5
    assert document["rows"][0]["components"]["gradient"].startswith("Smoothed(sigma=0.25, draws=2")
    changed = evaluate("--config", "advplug.toml", "mine.net:ready", "--limit", 4, "--json").document
    assert (changed["case"], changed["samples"]) == ("mine.net:ready", 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("restarts = 0", "restarts: Input should be greater than 0"),
        ('attacks = ["pgd", 3]', "attacks.1: Input should be a valid string"),
        ("epsilon = 0.1", "epsilon: no such field (did you mean epsilons?)"),
        ('models = ["a:b"]', "models: no such field (did you mean model?)"),  # Extra inputs are not permitted, it said
        ("batch-size = 4", "batch-size: no such field (did you mean batch_size?)"),
        ("bounds = [0, 1, 2]", "bounds"),
        ("set.pgd = 3", "set.pgd: Input should be a valid dictionary"),
        ("= 3", "advplug.toml"),
    ],
)
def test_configuration_errors_name_the_field(evaluate: Evaluate, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "advplug.toml").write_text(text)
    answer = evaluate("mine.net:build", *OWN, "--config", "advplug.toml")
    assert answer.exit_code == 2
    assert message in answer.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("mine.nett:build", *OWN), 2, "no module mine.nett"),
        (("yours:build", *OWN), 2, "no module yours"),
        (("mine.lacks:build", *OWN), 2, "needs surely_not_installed_anywhere"),
        (("mine.wrong:build", *OWN), 2, "ZeroDivisionError"),
        (("mine.net:absent", *OWN), 2, "mine.net has no absent"),
        (("mine.net:", *OWN), 2, "mine.net has no"),
        (("mine.net:number", *OWN), 2, "is of type int"),
        (("mine.net:needs", *OWN), 2, "returned a Light"),
        (("mine.net:fails", *OWN), 2, "no licence"),
        (("mine.net:Broken", *OWN), 1, "NaN"),
        (("brihgt",), 4, "did you mean defense:bright"),
        (("bright:third",), 2, "choose one of first, second"),
        (("mine.net:build", *OWN, "--attacks", "stepp"), 4, "did you mean attack:step"),
        (("mine.net:build", *OWN, "--attacks", ","), 2, "no attacks to run"),
        (("mine.net:build", *OWN, "--attacks", "pgd", "--losses", "margn"), 2, "did you mean margin"),
        (("mine.net:build", *OWN, "--gradients", "exakt"), 2, "did you mean exact"),
        (("mine.net:build", *OWN, "--gradients", ","), 2, "--gradients names none"),
        (("mine.net:build", *OWN, "--gradients", "exact:3"), 2, "exact takes no number"),
        (("mine.net:build", *OWN, "--gradients", "eot:many"), 2, "draws is 'many': give a whole number"),
        (("mine.net:build", *OWN, "--gradients", "eot:0"), 2, "draws is 0"),
        (("mine.net:build", *OWN, "--gradients", "finite-differences:1"), 2, "queries 1: M >= 2"),
        (("mine.net:build", *OWN, "--gradients", "bpda"), 2, "stand-in with --surrogate package.module:callable"),
        (("mine.net:build", "--data", "data.npz"), 2, "--threat linf:8/255"),
        (("mine.net:build", "--data", "data.npz", "--threat", "linf"), 2, "write norm:epsilon"),
        (("mine.net:build", "--threat", "linf:0.1"), 2, "--data is missing"),
        (("mine.net:build", "--threat", "linf:0.1", "--data", "rump"), 4, "did you mean data:ramp"),
        (("mine.net:build", "--threat", "linf:0.1", "--data", "absent.npz"), 2, "no such file"),
        (("mine.net:build", *OWN, "--bounds", "1,0"), 2, "lower bound first"),
        (("mine.net:build", *OWN, "--set", "pgd.lenght=1"), 2, "did you mean length"),
        (("mine.net:build", *OWN, "--set", "pdg.length=1"), 2, "did you mean pgd"),
        (("mine.net:build", *OWN, "--set", "length=1"), 2, "ATTACK.NAME=VALUE"),
        (("mine.net:build", *OWN, "--set", "pgd.length=-1"), 2, "length is -1"),
        (("mine.net:build", *OWN, "--set", "pgd.length=word"), 2, "--set pgd.length=word: length is 'word'"),
        (("mine.net:build", *OWN, "--config", "absent.toml"), 2, "absent.toml"),
        ((), 2, "MODEL"),
    ],
)
def test_wrong_calls(evaluate: Evaluate, tmp_path: Path, arguments: tuple[str, ...], code: int, message: str) -> None:
    answer = evaluate(*arguments)
    assert answer.exit_code == code, answer.stderr
    assert message in answer.stderr
    assert answer.stdout == ""
    assert not list(tmp_path.rglob("*.json"))
