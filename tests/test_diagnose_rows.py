"""Diagnostics that read the rows of a run: each warns of rows that were made to trip it, and of no others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from advplug_attack_pgd import PGD
from torch import Tensor

from advplug.adaptive import Recipe
from advplug.data import Images
from advplug.evaluation import Evaluation, Finding, Job, evaluate, model_job
from advplug.evaluation.diagnostics.diagnose import diagnose
from advplug.gradients import BPDA
from advplug.model import DefendedModel
from advplug.testing.linear import linear_model
from advplug.threat import ThreatModel

X = torch.rand(24, 10, generator=torch.Generator().manual_seed(0))
STEPS = 30


@pytest.fixture(scope="module")
def run() -> tuple[Job, Evaluation]:
    """Two attacks, of which nothing needs to be believed."""
    model = linear_model(3, (10,)).float()
    recipes = [Recipe(name=name, attack=PGD(steps=STEPS), role="attack") for name in ("first", "second")]
    job = model_job("toy", model, Images(X, model(X).argmax(1)), ThreatModel("linf", 0.01), recipes)
    return job, evaluate(job)


def finding(run: tuple[Job, Evaluation], name: str, *changes: dict[str, Any]) -> Finding | None:
    """The finding of that name, with so many rows of the run, each changed."""
    job, evaluation = run
    rows = tuple(replace(row, **change) for row, change in zip(evaluation.rows, changes, strict=False))
    return next((one for one in diagnose(job, replace(evaluation, rows=rows), ()) if one.name == name), None)


def broken(run: tuple[Job, Evaluation], even: bool) -> dict[str, Any]:
    """A row that broke every other sample."""
    arrays = {**run[1].rows[0].arrays, "correct": np.ones(24, bool), "success": np.arange(24) % 2 == even}
    return {"robust_accuracy": 0.5, "arrays": arrays}


def test_attacks_that_are_stronger_together(run: tuple[Job, Evaluation]) -> None:
    found = finding(run, "attack-quality", broken(run, True), broken(run, False))
    assert found is not None
    assert (found.id, found.status, found.figure) == ("G11", "warn", 0.5)
    assert "all attacks together 0.0 %" in found.message
    alike = finding(run, "attack-quality", broken(run, True), broken(run, True))
    assert alike is not None
    assert (alike.status, alike.figure) == ("pass", 0.0)


def test_a_curve_that_rises_with_the_budget(run: tuple[Job, Evaluation]) -> None:
    found = finding(run, "rising-curve", {"sweep": ((0.005, 0.5), (0.01, 0.75))})
    assert found is not None
    assert (found.id, found.status, found.figure) == ("G7", "fail", 0.25)
    assert finding(run, "rising-curve", {"sweep": ((0.005, 0.75), (0.01, 0.5))}) is None


@pytest.mark.parametrize(("last", "told"), [(0.0, True), (15.0, False)])
def test_a_loss_that_falls_to_the_end(run: tuple[Job, Evaluation], last: float, told: bool) -> None:
    losses = np.maximum(np.linspace(30, 0, STEPS + 1, dtype=np.float32), last)
    arrays = {
        **run[1].rows[0].arrays,
        "correct": np.ones(24, bool),
        "success": np.zeros(24, bool),
        "trace": np.repeat(losses[:, None], 24, 1),
    }
    found = finding(run, "still-falling", {"robust_accuracy": 1.0, "arrays": arrays, "more_steps": (0, 0)})
    assert (found is not None) == told
    if found is not None:
        assert (found.id, found.status) == ("G5", "warn")
        assert found.samples == tuple(range(24))


class Mistaken(DefendedModel):
    """A linear model whose surrogate is another one, or itself."""

    def __init__(self, own: bool) -> None:
        super().__init__(3)
        self.own, self.inner = own, linear_model(3, (10,)).float()

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.inner(x)
        return logits

    def surrogate(self, x: Tensor) -> Tensor:
        return self.forward(x) if self.own else self.forward(x) + 40 * (x[:, :3] - X[0, :3])


@pytest.mark.parametrize("own", [True, False])
def test_a_surrogate_of_another_function(own: bool) -> None:
    model = Mistaken(own)
    recipe = Recipe(name="pgd", attack=PGD(steps=10), gradient=BPDA(), role="attack")
    job = model_job("toy", model, Images(X, model(X).argmax(1)), ThreatModel("linf", 0.05), [recipe])
    found = [one for one in evaluate(replace(job, diagnose="full")).findings if one.id == "G9"]
    assert [(one.name, one.status) for one in found] == [
        ("surrogate", "pass") if own else ("surrogate-mismatch", "warn")
    ]
