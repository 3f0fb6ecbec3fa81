"""The benchmarks of ZOO's techniques and of substitutes count what they say."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import nn

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that imports a module of the benchmarks as the scripts do."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return importlib.import_module


def test_without_importance_sampling_digits_differ_once_the_grid_grows(module: Any, tmp_path: Path) -> None:
    """Both variants begin alike, and a row counts the digits that are nearer or farther."""
    rows = tmp_path / "rows.json"
    options = ["--only", "digits", "--limit", "3", "--steps", "20", "--seeds", "0", "--goals", "untargeted"]
    variants = "both;no importance sampling;all values from the start"
    done = CliRunner().invoke(
        module("zoo_ablations").main, [*options, "--variants", variants, "--json", str(rows)], catch_exceptions=False
    )
    assert done.exit_code == 0
    both, plain, flat = json.loads(rows.read_text())
    assert [row["variant"] for row in (both, plain, flat)] == variants.split(";")
    assert both["nearer"] == both["farther"] == 0
    assert both["all L2"] != plain["all L2"]
    assert both["queries"] == 20 * (2 * 48 + 1) + 1, "each step asks about both sides of every coordinate"


def test_what_a_row_compares(module: Any) -> None:
    """The first success is the first loss of zero; only digits that both found are compared."""
    nan = float("nan")
    held = result([[1.0, 1.0], [0.0, 2.0], [0.0, 0.0]], [1.0, 2.0])
    other = result([[1.0, 1.0], [1.0, 1.0], [0.0, 1.0]], [0.5, nan])
    row = module("zoo_ablations").compared(other, held, 10)
    assert (row["found"], row["nearer"], row["farther"]) == (1, 1, 0)
    assert row["ratio"] == "0.5000"
    assert module("zoo_ablations").compared(held, held, 10)["first success"] == "11"


def result(trace: list[list[float]], distance: list[float]) -> Any:
    """What of a result is compared."""
    far = torch.tensor(distance, dtype=torch.float64)
    return SimpleNamespace(trace=torch.tensor(trace), distance=far, success=~far.isnan(), forwards=torch.tensor([1, 1]))


def test_share_of_those_that_were_right(module: Any) -> None:
    """Towards targets a success is the target, without any wrong class; what was wrong before does not count."""
    share, net = module("substitute_reasons").share, nn.Identity()
    clean, y = torch.eye(3)[[0, 1, 2, 0]], torch.tensor([0, 1, 2, 1])
    attacked, targets = torch.eye(3)[[1, 2, 2, 2]], torch.tensor([1, 0, 0, 2])
    assert share(net, clean, y, attacked) == pytest.approx(200 / 3)
    assert share(net, clean, y, attacked, targets) == pytest.approx(100 / 3)
