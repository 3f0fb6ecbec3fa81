"""The published effect on real digits that ship: the mean of all members breaks what the vote hides."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from advplug_adaptive_empir import advplug_report_sections
from advplug_adaptive_empir._adaptive import ART, FOOLBOX
from advplug_adaptive_empir._objectives import POINTS, descended, way
from advplug_defense_empir import FullPrecision, MixedPrecision, TrueDerivative

from advplug import load
from advplug.evaluation import Evaluation, case_job, evaluate
from advplug.families import AtLogProbabilities
from advplug.gradients import BPDA


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    job = case_job("empir", limit=30)
    kept = [recipe for recipe in job.recipes if recipe.library == FOOLBOX or recipe.name == "derivative of rounding"]
    return evaluate(replace(job, recipes=(*kept, job.recipes[-1])))


def _left(evaluation: Evaluation, name: str) -> float:
    (row,) = (row for row in evaluation.rows if name in row.name)
    return row.robust_accuracy


def test_the_mean_of_all_members_breaks_the_vote(evaluation: Evaluation) -> None:
    adaptive = evaluation.rows[-1].robust_accuracy
    assert evaluation.clean_accuracy >= 0.95
    assert adaptive <= 0.05
    assert _left(evaluation, "authors") >= 0.1
    assert evaluation.broken


def test_without_the_straight_through_estimator_the_vote_seems_robust(evaluation: Evaluation) -> None:
    assert _left(evaluation, "derivative of rounding") >= 3 * max(evaluation.rows[-1].robust_accuracy, 0.1)


def test_the_last_recipe_is_the_log_of_the_mean_through_the_surrogate() -> None:
    published, last = case_job("empir", limit=1).recipes[-2:]
    for recipe in (published, last):
        assert (recipe.loss, recipe.gradient) == (AtLogProbabilities(), BPDA())
        assert (recipe.attack.steps, recipe.attack.random_start) == (100, True)
    assert (published.restarts, last.restarts) == (1, 5)


@pytest.mark.parametrize(("preset", "share"), [("mnist", 1 / 30), ("cifar10", 1 / 10), ("cifar10-single", 1 / 10)])
def test_baselines_run_at_the_authors_settings(preset: str, share: float) -> None:
    threat = load("defense:empir").presets[preset].threat
    foolbox, art = load("adaptive:empir")().baselines(preset, threat)
    assert (foolbox.library, art.library) == (FOOLBOX, ART)
    assert foolbox.attack.parameters()["parameters"] == {
        "steps": 40,
        "abs_stepsize": pytest.approx(share * threat.budget),
    }
    assert art.attack.parameters()["parameters"]["eps_step"] == pytest.approx(share * threat.budget)
    assert (foolbox.published is None) == preset.endswith("-single")


def test_models_beside_the_vote_are_its_own_members() -> None:
    job = case_job("empir", limit=5)
    others = {type(recipe.on): recipe.on for recipe in job.recipes if recipe.on is not None}
    assert set(others) == {FullPrecision, TrueDerivative}
    with torch.no_grad():
        single = load("defense:empir")().build("mnist-single")(job.images.inputs)
        assert torch.equal(others[FullPrecision](job.images.inputs), single)
        assert torch.equal(others[TrueDerivative](job.images.inputs), job.model(job.images.inputs))
    assert [recipe.name for recipe in job.recipes if recipe.name == "standard"] == ["standard"]


def test_the_way_leads_from_the_vote_to_an_adversarial_image() -> None:
    model, digits = load("defense:empir")().build("mnist"), load("data:mnist")().load("shipped", 20)
    assert isinstance(model, MixedPrecision)
    seen = way(model, digits.inputs, digits.labels, 0.2)
    assert seen.members.shape == (POINTS, seen.vote.shape[1], 3)
    assert bool(seen.vote[0].all())
    assert seen.vote[-1].double().mean() <= 0.3
    assert bool(seen.vote[seen.members.sum(2) >= 2].all())
    assert not bool(seen.vote[seen.members.sum(2) == 0].any())
    far = descended(model, digits.inputs, digits.labels, 0.2)
    assert (far - digits.inputs).abs().max() <= 0.2 + 1e-6
    assert far.min() >= 0
    assert far.max() <= 1


def test_the_objective_of_the_vote_jumps_further_than_the_mean() -> None:
    model, digits = load("defense:empir")().build("mnist"), load("data:mnist")().load("shipped", 20)
    assert isinstance(model, MixedPrecision)
    seen = way(model, digits.inputs, digits.labels, 0.2)
    jumps = [values.diff(dim=0).abs().amax(0).mean() for values in (seen.agreeing, seen.mean)]
    assert jumps[0] > 1.1 * jumps[1]


def test_the_report_shows_it(evaluation: Evaluation) -> None:
    (section,) = advplug_report_sections(evaluation)
    assert "data:image/svg+xml" in section.html
    assert not advplug_report_sections(replace(evaluation, case="mine"))
    assert not advplug_report_sections(replace(evaluation, preset="paper"))
    assert not advplug_report_sections(replace(evaluation, preset="mnist-single"))
