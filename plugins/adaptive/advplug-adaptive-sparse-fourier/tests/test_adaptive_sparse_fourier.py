"""The published effect on real digits that ship: the recovery removes transferred pixels alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from advplug_adaptive_sparse_fourier import advplug_report_sections
from advplug_adaptive_sparse_fourier._adaptive import ART, BREAK, CLAIM
from advplug_adaptive_sparse_fourier._changed import measured
from advplug_defense_sparse_fourier import Recovered, Unrecovered

from advplug import load
from advplug.evaluation import Evaluation, case_job, evaluate
from advplug.records import Row


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    job = case_job("sparse-fourier", limit=12)
    transfer, _, control, _, adaptive = job.recipes
    return evaluate(replace(job, recipes=(transfer, control, adaptive)))


def _row(evaluation: Evaluation, role: str) -> Row:
    return next(row for row in evaluation.rows if row.role == role)


def test_the_attack_through_the_recovery_needs_hardly_more_pixels_than_on_the_network_alone(
    evaluation: Evaluation,
) -> None:
    control, adaptive = _row(evaluation, "control"), _row(evaluation, "adaptive")
    assert _row(evaluation, "baseline").robust_accuracy >= 0.4
    assert adaptive.robust_accuracy == control.robust_accuracy == 0
    assert adaptive.median_distance is not None
    assert adaptive.median_distance <= 30
    assert evaluation.broken


def test_the_recovery_finds_few_of_the_pixels_that_were_changed_through_it(evaluation: Evaluation) -> None:
    model, x = load("defense:sparse-fourier")().build("mnist"), torch.from_numpy(evaluation.inputs)
    assert isinstance(model, Recovered)
    found = {
        role: measured(model, x, row.arrays["adversarials"], row.arrays["success"]).found.mean()
        for role in ("control", "adaptive")
        for row in [_row(evaluation, role)]
    }
    assert found["adaptive"] < found["control"] / 2


def test_what_is_counted_is_what_was_changed(evaluation: Evaluation) -> None:
    model, row = load("defense:sparse-fourier")().build("mnist"), _row(evaluation, "adaptive")
    x = torch.from_numpy(evaluation.inputs)
    seen = measured(model, x, row.arrays["adversarials"], row.arrays["success"])
    assert seen.samples == 12
    assert seen.altered.tolist() == row.arrays["distance"][row.arrays["success"]].tolist()


def test_baselines_are_found_on_the_network_alone() -> None:
    case, defense = load("adaptive:sparse-fourier")(), load("defense:sparse-fourier")()
    threat = defense.presets["mnist"].threat
    baselines = case.baselines("mnist", threat)
    assert [recipe.library for recipe in baselines] == ["advplug", ART]
    assert {recipe.attack.models for recipe in baselines} == {"sparse-fourier:mnist-base"}
    assert {(recipe.published, recipe.source) for recipe in baselines} == {(0.75, CLAIM)}
    model = defense.build("mnist")
    recipes = case.recipes("mnist", threat, model)
    (control,) = (recipe for recipe in recipes if recipe.role == "control")
    assert isinstance(control.on, Unrecovered)
    assert (recipes[-1].published, recipes[-1].source) == (0.0, BREAK)
    x = load("data:mnist")().load("shipped", 20).inputs
    with torch.no_grad():
        assert torch.equal(control.on(x), defense.build("mnist-base")(x))


def test_the_report_shows_what_the_recovery_finds(evaluation: Evaluation) -> None:
    (section,) = advplug_report_sections(evaluation)
    assert "data:image/svg+xml" in section.html
    assert not advplug_report_sections(replace(evaluation, case="mine"))
    without = tuple(row for row in evaluation.rows if row.role != "control")
    assert not advplug_report_sections(replace(evaluation, rows=without))
