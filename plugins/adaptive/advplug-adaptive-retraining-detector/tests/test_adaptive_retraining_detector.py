"""The break on real digits that ship: known attacks are detected, one with the detector's gradient is not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from advplug_adaptive_retraining_detector import advplug_report_sections
from advplug_adaptive_retraining_detector._adaptive import CLAIM, DETECTED
from advplug_defense_retraining_detector import LOSSES

from advplug import load
from advplug.adaptive import Recipe
from advplug.errors import InvalidInput
from advplug.evaluation import Evaluation, case_job, evaluate
from advplug.records import Row


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    job = case_job("retraining-detector", limit=12)
    return evaluate(replace(job, recipes=tuple(recipe for recipe in job.recipes if recipe.library == "advplug")))


def _row(evaluation: Evaluation, role: str) -> Row:
    return next(row for row in evaluation.rows if row.role == role)


def _recipes() -> list[Recipe]:
    case, defense = load("adaptive:retraining-detector")(), load("defense:retraining-detector")()
    return list(case.recipes("mnist", defense.presets["mnist"].threat, defense.build("mnist")))


def test_the_images_of_its_training_are_detected(evaluation: Evaluation) -> None:
    for row in evaluation.rows:
        if row.role == "baseline":
            assert row.robust_accuracy >= 0.8, row.name


def test_the_detector_costs_the_adaptive_attack_little_distance(evaluation: Evaluation) -> None:
    control, blind, adaptive = (_row(evaluation, role) for role in ("control", "intermediate", "adaptive"))
    assert control.robust_accuracy == adaptive.robust_accuracy == 0
    assert control.median_distance is not None
    assert blind.median_distance is not None
    assert adaptive.median_distance is not None
    assert adaptive.median_distance <= 1.4 * control.median_distance
    assert blind.median_distance >= 3 * adaptive.median_distance
    assert evaluation.broken


def test_baselines_are_the_four_attacks_of_the_training() -> None:
    case, defense = load("adaptive:retraining-detector")(), load("defense:retraining-detector")()
    baselines = case.baselines("cifar10", defense.presets["cifar10"].threat)
    of_the_training = [recipe for recipe in baselines if recipe.library == "advplug"]
    assert {recipe.attack.models for recipe in of_the_training} == {"adversarial-training:cifar10"}
    assert [recipe.loss for recipe in of_the_training] == [study.loss for study in LOSSES.values()]
    assert {recipe.published for recipe in of_the_training} == set(DETECTED.values())
    assert {recipe.source for recipe in of_the_training} == {CLAIM}


def test_the_control_is_the_classifier_and_the_last_recipe_the_break() -> None:
    recipes = _recipes()
    assert [recipe.role for recipe in recipes] == ["control", "intermediate", "adaptive"]
    assert recipes[0].on is not None
    assert not recipes[0].on.rejects


def test_another_model_is_refused() -> None:
    case, defense = load("adaptive:retraining-detector")(), load("defense:retraining-detector")()
    model = defense.build("mnist")
    with pytest.raises(InvalidInput, match="Detected"):
        case.recipes("mnist", defense.presets["mnist"].threat, model.classifier)


def test_the_report_shows_the_scores_of_both_attacks(evaluation: Evaluation) -> None:
    (section,) = advplug_report_sections(evaluation)
    assert "data:image/svg+xml" in section.html
    assert not advplug_report_sections(replace(evaluation, case="mine"))
    without = tuple(row for row in evaluation.rows if row.role != "control")
    assert not advplug_report_sections(replace(evaluation, rows=without))
