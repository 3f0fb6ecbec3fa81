"""The published effect on digits that ship: a test rejects what PGD finds, and none what lies between."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest
import torch
from advplug_adaptive_weakness_strength import advplug_report_sections
from advplug_adaptive_weakness_strength._way import POINTS, answers
from advplug_defense_weakness_strength import WeaknessStrength

from advplug import load
from advplug.evaluation import Evaluation, case_job, evaluate


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    job = case_job("weakness-strength", limit=20)
    return evaluate(replace(job, recipes=(job.recipes[0], job.recipes[-1])))


def test_bisection_finds_what_pgd_steps_over(evaluation: Evaluation) -> None:
    baseline, adaptive = evaluation.rows
    assert baseline.robust_accuracy >= 0.5
    assert baseline.detected is not None
    assert baseline.detected >= 0.5, "PGD fools the classifier, and is rejected"
    assert adaptive.robust_accuracy <= 0.1


@torch.no_grad()
def test_the_way_leads_through_a_region_that_passes() -> None:
    model = cast(WeaknessStrength, load("defense:weakness-strength")().build("mnist"))
    digits = load("data:mnist")().load("shipped", 20)
    with torch.enable_grad():
        found = answers(model, digits.inputs, digits.labels, 0.3)
    assert found.shape[0] == POINTS
    assert (found[0] == 0).all(), "a clean digit keeps its class"
    assert (found == 1).any(0).float().mean() >= 0.8, "nearly every way passes somewhere"
    assert (found[-1] == 3).float().mean() >= 0.5, "at its end most are too far"


def test_the_report_shows_it(evaluation: Evaluation) -> None:
    (section,) = advplug_report_sections(evaluation)
    assert "data:image/svg+xml" in section.html
    assert not advplug_report_sections(replace(evaluation, case="mine"))
    assert not advplug_report_sections(replace(evaluation, preset="paper"))
