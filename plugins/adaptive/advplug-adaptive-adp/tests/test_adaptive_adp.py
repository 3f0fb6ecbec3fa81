"""The effect on shipped digits: ten steps leave many, more steps nearly none."""

from __future__ import annotations

from dataclasses import replace

import pytest
from advplug_adaptive_adp import DescentThenBoundary, advplug_report_sections
from advplug_adaptive_adp._convergence import AUTHORS, STEPS, course
from advplug_defense_adp import MeanProbability

from advplug import ThreatModel, load, run
from advplug.evaluation import Evaluation, case_job, evaluate
from advplug.testing.digits import shipped_digits


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    job = case_job("adp", limit=40)
    kept = [recipe for recipe in job.recipes if "10" in recipe.name or recipe.name == "PGD-50"]
    return evaluate(replace(job, recipes=(*kept, job.recipes[-1])))


def test_more_steps_break_what_ten_leave(evaluation: Evaluation) -> None:
    left = {row.name: row.robust_accuracy for row in evaluation.rows}
    assert evaluation.clean_accuracy >= 0.95
    assert min(left["PGD-10, authors' step"], left["PGD-10"]) >= 0.05
    assert left["PGD-50"] < left["PGD-10"]
    assert evaluation.rows[-1].robust_accuracy <= 0.03
    assert evaluation.broken


@pytest.mark.parametrize("preset", ["mnist", "cifar10", "paper"])
def test_baselines_run_at_the_authors_settings(preset: str) -> None:
    threat = load("defense:adp").presets[preset].threat
    pgd, bim, default = load("adaptive:adp")().baselines(preset, threat)
    for recipe in (pgd, bim):
        expected = {"steps": 10, "abs_stepsize": pytest.approx(threat.budget / 10)}
        assert recipe.attack.parameters()["parameters"] == expected
    assert not default.attack.parameters()["parameters"]


def test_only_the_networks_trained_without_diversity_are_a_control() -> None:
    recipes = case_job("adp", limit=2).recipes
    (control,) = (recipe for recipe in recipes if recipe.on is not None)
    assert control.role == "control"
    assert isinstance(control.on, MeanProbability)
    assert isinstance(recipes[-1].attack, DescentThenBoundary)


def test_the_boundary_attack_sees_what_the_descent_left() -> None:
    net, x, y = shipped_digits("mnist-relu", 8)
    attack = DescentThenBoundary(steps=1, restarts=1, boundary_steps=40, boundary_restarts=1, radius=0.02)
    result = run(attack, net, x, y, ThreatModel("linf", 0.15))
    assert result.stages == ("pgd", "brendel-bethge")
    assert (result.stage == 1).any()
    assert (result.distance[result.success] <= 0.15 + 1e-6).all()


def test_accuracy_goes_on_falling_after_the_authors_last_step() -> None:
    model, digits = load("defense:adp")().build("mnist"), load("data:mnist")().load("shipped", 40)
    assert isinstance(model, MeanProbability)
    seen = course(model, digits.inputs, digits.labels, 0.1)
    assert seen.right.shape[0] == STEPS + 1
    assert seen.true_class.shape[2] == 3
    accuracy = seen.right.double().mean(1)
    assert accuracy[0] == 1
    assert accuracy[STEPS] < accuracy[AUTHORS] < 0.5


def test_reports_of_this_case_have_the_figure_and_others_have_not(evaluation: Evaluation) -> None:
    assert [section.title for section in advplug_report_sections(evaluation)] == ["Ten steps are too few"]
    assert not advplug_report_sections(replace(evaluation, case="empir"))
