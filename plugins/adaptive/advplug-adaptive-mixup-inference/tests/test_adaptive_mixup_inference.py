"""The published effect on real digits that ship: mixing helps only against who does not know of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from advplug_adaptive_mixup_inference import advplug_report_sections
from advplug_adaptive_mixup_inference._adaptive import CLAIM

from advplug import load
from advplug.evaluation import Evaluation, case_job, evaluate
from advplug.model import DefendedModel
from advplug.plugins.manager import default_manager


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    job = case_job("mixup-inference", limit=30)
    kept = [recipe for recipe in job.recipes if recipe.library != "adversarial-robustness-toolbox"]
    return evaluate(replace(job, recipes=tuple(kept)))


def _left(evaluation: Evaluation, role: str) -> float:
    return min(row.robust_accuracy for row in evaluation.rows if row.role == role)


def test_the_adaptive_attack_falls_to_what_the_network_alone_keeps(evaluation: Evaluation) -> None:
    oblivious = evaluation.rows[0].robust_accuracy
    control, adaptive = _left(evaluation, "control"), _left(evaluation, "adaptive")
    assert oblivious >= control + 0.1
    assert adaptive <= control + 0.05
    assert evaluation.broken


def test_the_mean_of_perturbations_leaves_more_than_the_mean_gradient(evaluation: Evaluation) -> None:
    mean = next(row for row in evaluation.rows if row.name.startswith("mean of"))
    assert mean.robust_accuracy >= _left(evaluation, "adaptive")


def test_answers_are_judged_on_several_draws(evaluation: Evaluation) -> None:
    assert evaluation.clean_error_rate is not None
    assert 0 <= evaluation.clean_error_rate < 0.5
    rates = torch.from_numpy(evaluation.rows[-1].arrays["success_rate"])
    assert torch.equal(rates, (10 * rates).round() / 10)  # of ten fresh answers
    assert bool((rates[torch.from_numpy(evaluation.rows[-1].arrays["success"])] > 0.5).all())


def test_the_control_of_the_table_is_the_network_of_the_preset() -> None:
    case, defense = load("adaptive:mixup-inference")(), load("defense:mixup-inference")()
    model: DefendedModel = defense.build("mnist")
    control = next(
        recipe for recipe in case.recipes("mnist", defense.presets["mnist"].threat, model) if recipe.role == "control"
    )
    digits = load("data:mnist")().load("shipped", 20)
    assert control.on is not None
    with torch.no_grad():
        assert torch.equal(control.on(digits.inputs), defense.build("mnist-base")(digits.inputs))


def test_published_figures_belong_to_interpolated_adversarial_training() -> None:
    case, defense = load("adaptive:mixup-inference")(), load("defense:mixup-inference")()
    for preset in ("mnist", "cifar10-iat"):
        recipes = case.baselines(preset, defense.presets[preset].threat)
        assert [recipe.published for recipe in recipes] == ([None] * 3 if preset == "mnist" else [0.634, 0.634, 0.57])
        assert {recipe.source for recipe in recipes} == {CLAIM}


def test_the_case_names_a_defense_and_attacks_that_are_there() -> None:
    manager = default_manager()
    spec = next(spec for spec in manager.specs("adaptive") if spec.name == "mixup-inference")
    assert manager.find(f"defense:{spec.breaks}")
    assert all(manager.find(f"attack:{name}") for name in spec.uses_attacks)


def test_the_report_shows_what_the_mixing_adds(evaluation: Evaluation) -> None:
    (section,) = advplug_report_sections(evaluation)
    assert "data:image/svg+xml" in section.html
    assert not advplug_report_sections(replace(evaluation, case="mine"))
    without = tuple(row for row in evaluation.rows if row.role != "control")
    assert not advplug_report_sections(replace(evaluation, rows=without))
