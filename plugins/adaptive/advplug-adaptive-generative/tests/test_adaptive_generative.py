"""What of the published effect reproduces on digits that ship: noise hides a break, and one term decides."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from advplug_adaptive_generative import advplug_report_sections
from advplug_adaptive_generative._adaptive import ART, DRAWS, FOOLBOX
from advplug_adaptive_generative._terms import compared
from advplug_defense_generative import GBZ, FixedNoise

from advplug import load
from advplug.evaluation import Evaluation, Row, case_job, evaluate
from advplug.families import Lookalike
from advplug.gradients import BPDA, EOT, Exact
from advplug.losses import Logit


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    """FGSM, random points, the label term under fixed noise, and the whole score without averages over answers."""
    job = case_job("generative", limit=25)
    chosen = {recipe.name: recipe for recipe in job.recipes}
    fixed = next(recipe for recipe in job.recipes if recipe.on is not None)
    last = replace(job.recipes[-1], gradient=Exact())  # momentum averages over steps
    return evaluate(replace(job, recipes=(chosen["FGSM"], chosen["100 random points"], fixed, last)))


def _left(evaluation: Evaluation, name: str) -> Row:
    (row,) = (row for row in evaluation.rows if name in row.name)
    return row


def test_the_attack_leaves_what_noise_alone_gets_right(evaluation: Evaluation) -> None:
    adaptive = evaluation.rows[-1]
    assert evaluation.clean_error_rate is not None
    assert adaptive.robust_accuracy <= evaluation.clean_error_rate + 0.05
    assert adaptive.randomised["majority"] <= 0.05
    assert evaluation.broken


def test_with_the_noise_fixed_next_to_nothing_is_left(evaluation: Evaluation) -> None:
    fixed = _left(evaluation, "fixed noise")
    assert fixed.robust_accuracy <= 0.08
    assert fixed.randomised == {}


def test_the_model_is_noisy_but_random_points_do_not_break_it(evaluation: Evaluation) -> None:
    noise = _left(evaluation, "random points")
    assert 0.05 <= evaluation.clean_error_rate <= 0.25  # type: ignore[operator]
    assert noise.robust_accuracy >= evaluation.clean_accuracy - 0.15
    assert noise.randomised["worst"] <= noise.randomised["mean"] - 0.1


def test_baselines_run_at_the_authors_settings() -> None:
    job = case_job("generative", limit=1)
    fgsm, pgd, mim = (recipe for recipe in job.recipes if recipe.role == "baseline")
    assert [recipe.library for recipe in (fgsm, pgd, mim)] == [FOOLBOX, FOOLBOX, ART]
    assert pgd.attack.parameters()["parameters"] == {"steps": 40, "abs_stepsize": 0.01}
    assert mim.attack.parameters()["parameters"] == {"max_iter": 100, "eps_step": 0.01}


def test_the_last_recipes_average_the_label_term_and_the_whole_score() -> None:
    one, fixed, label, last = case_job("generative", limit=1).recipes[-4:]
    assert (one.gradient, label.gradient, last.gradient) == (BPDA(), BPDA(EOT(DRAWS)), EOT(DRAWS))
    assert {recipe.loss for recipe in (one, fixed, label)} == {Logit()}
    assert last.loss is None
    assert isinstance(fixed.on, FixedNoise)
    assert one.attack == label.attack
    assert (fixed.published, label.published, last.published) == (0.0, 0.1, 0.1)


def test_features_and_decoded_logits_are_matched_without_samples_of_the_attackers_own() -> None:
    job = case_job("generative", limit=10)
    matching = [recipe for recipe in job.recipes if isinstance(recipe.loss, Lookalike)]
    assert [recipe.loss.layer for recipe in matching] == ["features", "joint.decoded"]
    assert {recipe.gradient for recipe in matching} == {Exact()}
    few = [replace(recipe, attack=replace(recipe.attack, steps=3)) for recipe in matching]
    assert all(row.gradients > 0 for row in evaluate(replace(job, recipes=tuple(few))).rows)


def test_the_label_term_decides_and_is_turned(evaluation: Evaluation) -> None:
    model = load("defense:generative")().build("mnist")
    assert isinstance(model, GBZ)
    row = evaluation.rows[-1]
    won = torch.from_numpy(row.arrays["success"])
    clean, labels = (torch.from_numpy(values)[won] for values in (evaluation.inputs, evaluation.labels))
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        seen = compared(model, clean, torch.from_numpy(row.arrays["adversarials"])[won], labels)
    before, after = seen.gaps.unbind(1)
    assert before[1] > 3
    assert bool((before[[0, 2, 3]] < before[1] / 2).all())
    assert after[1] < -2
    assert after.sum() < -3
    clean_lost, adversarial_lost = seen.lost
    assert clean_lost.mean() < 0.25
    assert adversarial_lost.mean() > 0.75


def test_the_report_shows_it(evaluation: Evaluation) -> None:
    (section,) = advplug_report_sections(evaluation)
    assert "data:image/svg+xml" in section.html
    assert not advplug_report_sections(replace(evaluation, case="mine"))
    assert not advplug_report_sections(replace(evaluation, preset="paper"))
