"""The minimum-norm benchmarks run, and count nothing that their own judge has not seen misclassified."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from advplug import load
from advplug.errors import UnknownPlugin

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


def run(script: str, tmp_path: Path, *options: str) -> dict[str, Any]:
    """The JSON that a script writes for three shipped digits."""
    try:
        load("defense:kwta")
        load("data:mnist")
    except UnknownPlugin as error:
        pytest.skip(str(error))
    file = tmp_path / "rows.json"
    command = (sys.executable, str(FOLDER / script), "--model", "mnist-relu", "--limit", "3", "--json", str(file))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run((*command, *options), check=True, cwd=tmp_path, env=environment, capture_output=True, text=True)
    document: dict[str, Any] = json.loads(file.read_text())
    return document


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of that name, imported as the scripts do."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("minimum_norm_judge")


class Threshold(nn.Module):
    """Class 1 where the mean of an image (N, 1, 2, 2) is above one half, else class 0."""

    def forward(self, x: Tensor) -> Tensor:
        margin = x.flatten(1).mean(1) - 0.5
        return torch.stack((-margin, margin), 1)


def test_table_of_foolbox_and_ours(tmp_path: Path) -> None:
    pytest.importorskip("foolbox")
    document = run("minimum_norm.py", tmp_path, "--norm", "l2", "--steps", "5", "--only", "foolbox,advplug")
    rows = {row["attack"]: row for row in document["rows"] if row["library"] == "foolbox"}
    assert document["attacked"] == document["total"] == 3
    assert document["left_out"] == ["advplug brendel-bethge", "foolbox L2BrendelBethgeAttack"]
    ddn = rows["DDNAttack"]
    assert (ddn["error"], ddn["settings"], ddn["gradients"]) == (None, "steps=5", 5)
    assert ddn["success"] == sum(value is not None for value in ddn["distances"]) / 3
    assert ddn["robust"] == sorted(ddn["robust"], reverse=True)
    assert all(0 <= row["optimality"] <= 1 for row in rows.values())
    # Carlini-Wagner with one step a round breaks nothing and returns black images, which Foolbox calls successes.
    cw = rows["L2CarliniWagnerAttack"]
    assert cw["success"] == 0
    assert cw["remarks"]["black"] == 3


def test_time_to_distance(tmp_path: Path) -> None:
    foolbox = pytest.importorskip("foolbox")
    if not hasattr(foolbox.attacks, "L2FMNAttack"):
        pytest.skip("this Foolbox has no FMN: it came with 3.3.2")
    options = ("--norm", "l2", "--budgets", "5,20", "--only", "DDNAttack,L2FMN", "--repeats", "1")
    document = run("time_to_distance.py", tmp_path, *options)
    rows = [row for row in document["rows"] if row["library"] == "foolbox"]
    nearest = min(rows, key=lambda row: row["best"])
    assert nearest["best"] <= document["goal"] == pytest.approx(1.05 * nearest["best"])
    assert nearest["seconds"] > 0
    assert nearest["gradients"] in {5, 20}


def test_judge_counts_only_what_the_network_gets_wrong(judge: ModuleType) -> None:
    x, y = torch.full((7, 1, 2, 2), 0.6), torch.ones(7, dtype=torch.int64)
    points = x.clone()
    points[0] = 0.4
    points[1] = torch.nan
    points[2] = -0.1
    points[3] = 0.0
    points[4] = 0.55
    points[5] = 0.4
    points[5, 0, 0, 0] = -5e-7  # a rounding error
    points[6] = 0.4
    points[6, 0, 0, 0] = -1e-4  # more than that
    found = judge.Found(points, torch.ones(7, dtype=torch.bool))
    distances, remarks = judge.judge(found, Threshold(), x, y, "linf")
    assert distances.isfinite().tolist() == [True, False, False, False, False, True, True]
    assert distances[[0, 5, 6]].tolist() == pytest.approx([0.2, 0.6, 0.6])
    assert remarks == {"not finite": 1, "out of bounds": 1, "clipped": 1, "black": 1, "claimed in vain": 4}


def test_l0_overlooks_rounding_errors_but_judges_without_them(judge: ModuleType) -> None:
    x, y = torch.full((2, 1, 2, 2), 0.5000005), torch.ones(2, dtype=torch.int64)
    points = x.clone()
    points[0] -= 9e-7  # misclassified by rounding errors alone: without them nothing has changed
    points[1] += 5e-7
    points[1, 0, 0, 0] = 0.1
    distances, _ = judge.judge(judge.Found(points), Threshold(), x, y, "l0")
    assert distances[0].isnan()
    assert distances[1] == 1


def test_counts_are_of_images_forward_and_score_gradients_back(judge: ModuleType) -> None:
    net = judge.CountedNet(Threshold())
    x = torch.rand(3, 1, 2, 2, requires_grad=True)
    logits = net(x)
    for column in range(2):
        logits[:, column].sum().backward(retain_graph=True)
    with torch.no_grad():
        net(x[:2])
    assert (net.forwards, net.backwards) == (5, 6)
    every = torch.eye(2)[:, None, :].expand(2, 3, 2)
    with pytest.raises(RuntimeError, match="cannot be counted"):
        torch.autograd.grad(logits, x, every, is_grads_batched=True)


def test_an_error_of_a_library_becomes_its_row(judge: ModuleType) -> None:
    def fail(net: nn.Module, x: Tensor, y: Tensor) -> Any:
        net(x)
        raise ValueError("no start\nfound")

    contestant = judge.Contestant("some", "attack", "defaults", fail, lambda net, x, y: None)
    outcome = judge.measure(contestant, Threshold(), torch.ones(2, 1, 2, 2), torch.ones(2, dtype=torch.int64), "l2")
    assert outcome.error == "ValueError: no start"
    assert outcome.distances.isnan().all()
    assert outcome.forwards == 1


def test_what_is_asked_beyond_the_budget_does_not_count(judge: ModuleType) -> None:
    x, y = torch.tensor([[[[0.6, 0.6], [0.6, 0.6]]], [[[1.0, 1.0], [0.3, 0.3]]]]), torch.ones(2, dtype=torch.int64)

    def approach(net: nn.Module, x: Tensor, y: Tensor) -> Any:
        net(x - 0.3)
        net(x[:1] - 0.18)  # a row alone is of the image that it is nearest to
        net(x - 0.25)
        net(x[1:] - 0.2)  # the budget of the first is used up, and that of the second after this
        net(x - 0.15)
        raise AssertionError("nobody has anything left")

    contestant = judge.Contestant("some", "attack", "defaults", approach, lambda net, x, y: None)
    outcome = judge.measure(contestant, Threshold(), x, y, "linf", budget=3)
    assert outcome.error is None
    assert outcome.distances.tolist() == pytest.approx([0.18, 0.2])


def test_a_point_returned_within_the_budget_counts(judge: ModuleType) -> None:
    x, y = torch.full((2, 1, 2, 2), 0.6), torch.ones(2, dtype=torch.int64)

    def unasked(net: nn.Module, x: Tensor, y: Tensor) -> Any:
        for _ in range(3):
            net(x)
        return judge.Found(x - 0.2)

    contestant = judge.Contestant("some", "attack", "defaults", unasked, lambda net, x, y: None)
    within = judge.measure(contestant, Threshold(), x, y, "linf", budget=4)
    assert within.distances.tolist() == pytest.approx([0.2, 0.2])
    beyond = judge.measure(contestant, Threshold(), x, y, "linf", budget=2)
    assert beyond.distances.isnan().all()


@pytest.mark.parametrize("name", ["mnist-smooth", "cifar10-resnet"])
def test_the_networks_of_the_benchmark_are_there(name: str, judge: ModuleType) -> None:
    nets = importlib.import_module("minimum_norm_nets")
    shape = (1, 28, 28) if name.startswith("mnist") else (3, 32, 32)
    assert nets.build(name)(torch.rand(2, *shape)).shape == (2, 10)


def test_global_optimality_is_the_mean_over_networks(judge: ModuleType) -> None:
    summary = importlib.import_module("minimum_norm_summary")

    def row(attack: str, optimality: float | None, distances: list[float | None]) -> dict[str, Any]:
        named = {"library": "advplug", "attack": attack, "settings": "", "optimality": optimality}
        return {**named, "distances": distances}

    first = [row("a", 1.0, [1.0, 3.0]), row("b", 0.5, [2.0, 2.0]), row("c", None, [None, None])]
    second = [row("a", 0.5, [3.0]), row("b", 0.25, [3.0]), row("c", 1.0, [1.0])]
    runs = [
        {"model": "mnist", "rows": first, "total": 3, "attacked": 2},
        {"model": "cifar10", "rows": second, "total": 1, "attacked": 1},
    ]
    lines = summary._optimality(runs).splitlines()[2:]
    assert [line.split(" | ")[-1] for line in lines] == ["0.750 |", "0.375 |"]  # c has none on the first network
    (best, *_) = summary._pairs([runs[0]]).splitlines()[2:]
    assert best == "| a + b | 1.000 | 1.000 |"
