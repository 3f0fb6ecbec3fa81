"""``advplug evaluate``: bounds, budgets and counts that no computation can hold, and samples that cannot change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from advplug.cli import run
from advplug.errors import InvalidInput
from advplug.threat import ThreatModel

MODULE = """
import torch

def light(x):
    light = x.flatten(1).mean(1) - 0.5
    return torch.stack((-light, light), 1)
"""

Evaluate = Callable[..., tuple[int, str]]


@pytest.fixture
def evaluate(folder: Any, capsys: pytest.CaptureFixture[str]) -> Evaluate:
    folder.write({"own_light": MODULE})
    x = np.linspace(0, 1, 8, dtype=np.float32).reshape(8, 1) * np.ones((1, 3), np.float32)
    np.savez("data.npz", x=x, y=(x.mean(1) > 0.5).astype(int))
    np.savez("wide.npz", lower=np.zeros(3), upper=np.array([1, 1, 1e300]))
    np.save("large.npy", np.array([1, 1, 1e20]))

    def call(*arguments: str) -> tuple[int, str]:
        usual = ("--data", "data.npz", "--threat", "linf:0.25", "--attacks", "square")
        code = run(["evaluate", "own_light:light", *usual, "--no-report", "--out", "run", *arguments])
        return code, capsys.readouterr().err

    return call


@pytest.mark.parametrize("text", ["l2:1e400", "linf:1e400", "l2:1e99999999", "l2:" + "9" * 400 + "/3", "l2:nan"])
def test_budgets_without_end_are_refused_at_once(text: str) -> None:
    with pytest.raises(InvalidInput, match="epsilon"):
        ThreatModel.parse(text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--threat", "l2:1e400"], "epsilon inf"),
        (["--threat", "l2:1e39"], "--threat l2:1e39: 1e+39 is too large for float32"),
        (["--bounds=0,1e39"], "--bounds 0,1e39: 1e+39 is too large for float32"),
        (["--bounds=-1e300,0"], "is too large for float32"),
        (["--bounds", "wide.npz"], "--bounds wide.npz: 1e+300 is too large for float32"),
        (["--bounds=0,1e14", "--threat", "linf:large.npy"], "is wider than"),
        (["--threat", "l2:min", "--attacks", "ddn", "--epsilons", "1e39"], "at most 1e+15"),
        (["--targets", "1" * 5000], "write each, or a number of classes"),
        (["--gradients", "eot:" + "1" * 5000], "give a whole number"),
        (["--set", "square.queries=" + "9" * 400 + "/3"], "queries"),
        (["--device", "mps"], "--device mps: "),
        (["--config", "deep.toml"], "--config deep.toml: "),
        (["--config", "digits.toml"], "--config digits.toml: "),
        (["--config", "fresh.toml"], "--config fresh.toml: fresh: give --fresh on the command line"),
    ],
    ids=lambda value: "-".join(value)[:40] if isinstance(value, list) else "",
)
def test_what_nothing_can_hold_is_one_line(evaluate: Evaluate, arguments: list[str], message: str) -> None:
    Path("deep.toml").write_text("a=" + "[" * 5000)
    Path("digits.toml").write_text("seed=1" + "0" * 5000)
    Path("fresh.toml").write_text("fresh=true")
    code, err = evaluate(*arguments)
    assert code == 2, err
    (line,) = err.splitlines()
    assert message in line
    assert not Path("run").exists()


@pytest.mark.parametrize("option", ["--data", "--auxiliary", "--mask", "--bounds", "--threat"])
@pytest.mark.parametrize("model", ["own_light:light", "kwta"])
def test_options_given_as_nothing_are_refused(
    evaluate: Evaluate, capsys: pytest.CaptureFixture[str], option: str, model: str
) -> None:
    assert run(["evaluate", model, option, ""]) == 2
    assert capsys.readouterr().err == f"Error: {option} is empty: name what is meant, or leave it out\n"


def test_a_report_of_no_possible_name_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["report", "a\0b"]) == 2
    assert capsys.readouterr().err == "Error: 'RUN' is 'a\\x00b': name a file or folder\n"


def test_samples_that_cannot_change_are_counted(evaluate: Evaluate) -> None:
    some = np.ones((8, 3))
    some[:5] = 0
    np.save("some.npy", some)
    np.save("first.npy", np.array([1, 0, 0]))
    np.save("second.npy", np.array([0, 0.25, 0]))
    five = "! 5 of 8 samples have no value that may change (a mask or a budget of 0): no attack can break them"
    for arguments, lines in (
        (["--mask", "some.npy"], [five]),
        (["--threat", "linf:some.npy"], [five]),
        (["--mask", "first.npy"], []),
        (["--mask", "first.npy", "--threat", "linf:second.npy"], [five.replace("5 of", "8 of")]),
        (["--threat", "linf:1e-400"], [five.replace("5 of", "8 of")]),
    ):
        code, err = evaluate("--set", "square.queries=9", *arguments)
        assert code == 0, err
        assert [line for line in err.splitlines() if line.startswith("!")] == lines
