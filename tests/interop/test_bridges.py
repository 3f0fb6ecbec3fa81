"""Attacks of Foolbox, of ART and our own side by side on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from advplug.cli import run

for plugin in ("attack_foolbox", "attack_art", "attack_pgd", "defense_adversarial_training", "data_mnist"):
    pytest.importorskip(f"advplug_{plugin}")

EVALUATE = ["evaluate", "adversarial-training:mnist", "--threat", "l2:1.5", "--limit", "6", "--no-report"]


def test_one_table_of_three_libraries(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    attacks = ["--attacks", "foolbox:L2DeepFoolAttack,art:FastGradientMethod,pgd"]
    settings = ["--set", "foolbox:L2DeepFoolAttack.steps=20", "--set", "pgd.steps=10", "--out", str(tmp_path)]
    assert run([*EVALUATE, *attacks, *settings, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [(row["name"], row["library"]) for row in rows] == [
        ("foolbox:L2DeepFoolAttack", "foolbox"),
        ("art:FastGradientMethod", "adversarial-robustness-toolbox"),
        ("pgd", "advplug"),
    ]
    assert all(row["queries"] >= 1 for row in rows)
    assert rows[0]["robust_accuracy"] < 1
    assert run([*EVALUATE, *attacks, *settings]) == 0
    streams = capsys.readouterr()
    assert "3 of 3 attacks read from the run directory" in streams.err  # the same words: it resumes
    assert "ART" in streams.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--attacks", "pgd,foolbox:LinfPGD", "--loss", "margin"], "foolbox:LinfPGD brings its own losses"),
        (["--attacks", "art:HopSkipJump", "--gradient", "eot:4"], "art:HopSkipJump takes exact gradients, or none"),
        (["--attacks", "foolbox:LinfPGD"], "does not work under l2"),
        (["--attacks", "foolbox:LinfPGD", "--set", "foolbox:LinfPGD.step=3"], "did you mean steps?"),
        (["--attacks", "art:DeepFool", "--set", "art:DeepFool.eps=3"], "art:DeepFool has no such parameter"),
        (["--attacks", "pgd,foolbox:L0BrendelBethgeAttack"], "numba"),
    ],
)
def test_what_a_library_cannot_do_is_said_before_any_attack(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if "numba" in message:
        try:
            import numba.experimental  # noqa: F401
        except ImportError:
            pass
        else:
            pytest.skip("numba is installed")
    assert run([*EVALUATE, *options]) == 2
    streams = capsys.readouterr()
    assert message in streams.err
    assert streams.out == ""
