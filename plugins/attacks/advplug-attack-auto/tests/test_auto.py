"""The search as an attack in evaluations: slices, shares, resume, and the hyper-parameters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from advplug_attack_auto import Auto
from advplug_attack_standard import Standard
from torch import Tensor, nn

from advplug import evaluate
from advplug.adaptive import Recipe
from advplug.data import Images
from advplug.errors import InvalidInput
from advplug.evaluation import conclude, model_job, work_on_share
from advplug.records import Job
from advplug.testing.linear import linear_model
from advplug.threat import ThreatModel

LINF = ThreatModel("linf", 0.08)
QUICK = Auto(trials=3, sentences=2, steps=5)


@pytest.fixture(autouse=True)
def quick_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"steps": 3, "queries": 10, "num_targets": 1}.items():
        monkeypatch.setitem(Standard.__init__.__kwdefaults__, name, value)


class Rounded(nn.Module):
    """A linear model whose scores are rounded to one decimal."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = linear_model(3, (1, 4, 4)).float()

    def forward(self, x: Tensor) -> Tensor:
        return (self.linear(x) * 10).round() / 10


def job(folder: Path | None = None, count: int = 300) -> Job:
    model = Rounded()
    x = torch.rand(count, 1, 4, 4, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        data = Images(x, model(x).argmax(1))
    return model_job("toy", model, data, LINF, [Recipe(name="auto", attack=QUICK)], run_dir=folder)


def same(one: Any, other: Any) -> bool:
    names = ("adversarials", "success", "stage")
    rows = one.rows[0], other.rows[0]
    return rows[0].stages == rows[1].stages and all(
        np.array_equal(rows[0].arrays[name], rows[1].arrays[name]) for name in names if name in rows[0].arrays
    )


def test_slices_in_one_process_and_in_two_shares_give_the_same_bits(tmp_path: Path) -> None:
    whole = evaluate(job(tmp_path / "whole"))
    (row,) = whole.rows
    assert row.robust_accuracy < dict(row.stages)["square"], "the search breaks what the suite left"
    assert any(name.startswith("search 1: ") for name, _ in row.stages)
    shared = tmp_path / "shared"
    for number in (1, 2):
        assert work_on_share(job(shared), number, 2) == 1
    assert same(conclude(job(shared), 2), whole)


def test_an_evaluation_goes_on_after_the_suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = evaluate(job(count=40))
    choose = Auto.next_stage
    calls = []

    def interrupted(self: Auto, *given: Any) -> Any:
        calls.append(1)
        if len(calls) == 6:  # the suite has four stages
            raise KeyboardInterrupt
        return choose(self, *given)

    monkeypatch.setattr(Auto, "next_stage", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate(job(tmp_path, count=40))
    monkeypatch.setattr(Auto, "next_stage", choose)
    assert same(evaluate(job(tmp_path, count=40)), whole)


def test_a_smaller_budget_in_a_sweep_leaves_no_less() -> None:
    evaluation = evaluate(replace(job(count=20), sweep=(0.02,)))
    left = [accuracy for _, accuracy in evaluation.rows[0].sweep]
    assert left == sorted(left, reverse=True)


@pytest.mark.parametrize(
    "settings", [{"trials": 0}, {"sentences": 4}, {"sampler": "grid"}, {"cost": -1.0}, {"steps": 1}]
)
def test_bad_hyper_parameters_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        Auto(**settings)
