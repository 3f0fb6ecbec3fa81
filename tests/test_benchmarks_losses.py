"""The study of losses runs on digits and counts what happened; the circles have the maps that the page describes."""

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

from advplug import load
from advplug.errors import UnknownPlugin

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that imports a module of the benchmarks as the scripts do."""
    monkeypatch.syspath_prepend(str(FOLDER))

    def found(name: str) -> ModuleType:
        return importlib.import_module(name)

    return found


def script(name: str, folder: Path, *words: str) -> None:
    """Run a script of the benchmarks in ``folder``."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run((sys.executable, str(FOLDER / name), *words), check=True, cwd=folder, env=environment)


def test_study_on_digits(tmp_path: Path) -> None:
    for plugin in ("data:mnist", "defense:adversarial-training", "attack:fgm-steps"):
        try:
            load(plugin)
        except UnknownPlugin as error:
            pytest.skip(str(error))
    study = ("loss_study.py", tmp_path, "mnist", "--limit", "3", "--traced", "2", "--factor", "50")
    script(*study, "--save", "records", "--json", "study.json")
    document: dict[str, Any] = json.loads((tmp_path / "study.json").read_text())
    for lines in document["lines"].values():
        assert {line["pairs"] for line in lines.values()} == {3}
        assert lines["CE"]["slower"] == lines["CE"]["faster"] == 0
    same = document["lines"]["perturbation"]
    assert same["CE"]["success"] == 100
    assert same["CE"]["steps"] < same["Logit"]["steps"]
    assert same["CE"]["l1"] <= 784 * 50 * 5 / 150528 * same["CE"]["steps"] * (1 + 1e-4)
    assert 0 < same["CE"]["clipped"] < 100
    size = document["gradients"]
    assert size["CE"]["D3"] < 0.1 * size["CE"]["D1"]
    assert size["Logit"]["D3"] > 0.3 * size["Logit"]["D1"]

    pytest.importorskip("matplotlib")
    script("loss_figures.py", tmp_path, "records", "mnist-50x", ".")
    assert all(
        (tmp_path / f"losses-mnist-50x-{kind}.png").stat().st_size for kind in ("path", "gradient", "perturbation")
    )


def test_steps_are_counted_up_to_the_first_hit(module: Any) -> None:
    report, runs = module("loss_study_report"), module("loss_study_runs")
    blank = torch.full((runs.STEPS + 1, 3), torch.nan)
    fields = {name: blank.clone() for name in runs.Record._fields}
    fields["hit"][:6] = torch.tensor([[0, 0, 0], [0, 0, 0], [1, 0, 0], [0, 0, 0], [1, 0, 1], [0, 0, 1]])
    fields["l2"] = torch.arange(runs.STEPS + 1.0)[:, None] * torch.tensor([1.0, 1.0, 10.0])
    record = runs.Record(**fields)
    assert report.first_hit(record).tolist() == [2, torch.inf, 4]
    assert report.at_hit([record, record], "l2").tolist() == [2, 40, 2, 40]


def test_clipped_mass_is_what_the_bounds_took_away(module: Any) -> None:
    report, runs = module("loss_study_report"), module("loss_study_runs")
    fields = {name: torch.zeros(runs.STEPS + 1, 2) for name in runs.Record._fields}
    fields["gradient_l1"][:2] = 3.0  # afterwards it is zero, and nothing is asked for
    fields["moved"][1:3] = torch.tensor([[1.5, 3.0], [3.0, 3.0]])
    share = report.clipped([runs.Record(**fields)], "perturbation", "CE", values=10, beta=0.3)
    assert share == pytest.approx(1.5 / 12)


def test_maps_of_the_circles(module: Any) -> None:
    toy = module("loss_toy")
    net = toy.trained(epochs=600)
    x, y = toy.circles(200, seed=1)
    assert (net(x).argmax(1) == y).all()
    maps, sure = toy.maps(net, 81), toy.maps(toy.surer(net, 16), 81)
    inside, outside = toy.deep(maps), maps.likely < 0.1
    assert maps.ce[inside].min() < 1e-3 * maps.ce[outside].median()
    assert maps.logit[inside].median() > 0.1 * maps.logit[outside].median()
    assert (maps.ce[outside] > maps.logit[outside]).float().mean() > 0.9
    assert (sure.ce_sign == 0).any()
    assert toy.deep(sure)[sure.ce_sign == 0].all()
    assert not (sure.logit == 0).any()
