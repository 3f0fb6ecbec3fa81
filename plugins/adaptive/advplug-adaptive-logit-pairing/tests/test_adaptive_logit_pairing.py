"""The published effect on real digits that ship: what one short run leaves, large steps and restarts break."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from advplug_adaptive_logit_pairing import advplug_report_sections
from advplug_adaptive_logit_pairing._adaptive import PUBLISHED
from advplug_adaptive_logit_pairing._measures import correct, restarts, surface, undecided

from advplug import load
from advplug.evaluation import Evaluation, case_job, evaluate
from advplug.model import DefendedModel

DIGITS, FEW = 30, 8
"""Digits and restarts of these tests; the case itself restarts more often."""


def left(preset: str) -> tuple[float, float, float]:
    """Accuracy under no attack, under Foolbox's one short run, and under a few restarts of the adaptive attack."""
    job = case_job("logit-pairing", preset=preset, limit=DIGITS)
    found = evaluate(replace(job, recipes=(job.recipes[0], replace(job.recipes[-1], restarts=FEW))))
    return found.clean_accuracy, found.rows[0].robust_accuracy, found.rows[1].robust_accuracy


@pytest.mark.parametrize("preset", ["mnist", "mnist-lsq"])
def test_restarts_break_what_one_short_run_calls_robust(preset: str) -> None:
    clean, baseline, adaptive = left(preset)
    assert clean >= 0.9
    assert baseline >= 0.3
    assert adaptive <= baseline / 2


def test_adversarial_training_keeps_most_under_the_same_attack() -> None:
    _, baseline, adaptive = left("mnist-at100")
    assert baseline >= 0.6
    assert adaptive >= baseline - 0.15


def test_recipes_carry_the_published_figures() -> None:
    for preset, (short, once, often) in PUBLISHED.items():
        defense = load("defense:logit-pairing")()
        threat, model = defense.preset(preset).threat, defense.network(preset)
        case = load("adaptive:logit-pairing")()
        assert {recipe.published for recipe in case.baselines(preset, threat)} == {short}
        suite, *ours = case.recipes(preset, threat, model)
        assert suite.name == "standard"
        assert [recipe.published for recipe in ours] == [once, often, None]
    defense, case = load("defense:logit-pairing")(), load("adaptive:logit-pairing")()
    paper = case.recipes("paper", defense.preset("paper").threat, defense.network("paper"))
    assert {recipe.published for recipe in paper} == {None}


@pytest.fixture(scope="module")
def model() -> DefendedModel:
    built: DefendedModel = load("defense:logit-pairing")().build("mnist")
    return built


def test_the_surface_has_the_loss_of_the_image_in_its_middle(model: DefendedModel) -> None:
    digits = load("data:mnist")().load("shipped", 1)
    plane = surface(model, digits.inputs[0], digits.labels[0], 0.3, points=5)
    with torch.no_grad():
        expected = torch.nn.functional.cross_entropy(model(digits.inputs), digits.labels)
    assert plane.shape == (5, 5)
    torch.testing.assert_close(plane[2, 2], expected)
    assert plane.std() > 0


def test_runs_of_pgd_end_at_different_losses(model: DefendedModel) -> None:
    """That is why restarts pay: on some digits one run succeeds and another does not."""
    digits = load("data:mnist")().load("shipped", 30)
    rows = correct(model, digits.inputs, digits.labels)
    x, y = digits.inputs[rows], digits.labels[rows]
    losses, broken = restarts(model, x, y, 0.3, steps=20, step=0.2, runs=10)
    assert losses.shape == broken.shape == (len(rows), 10)
    assert broken[losses > math.log(10)].all()  # the true class has less than a tenth
    share = broken.double().mean(1)
    mixed = (share > 0) & (share < 1)
    assert mixed.sum() >= 3
    assert mixed[undecided(broken)[: int(mixed.sum())]].all()


def test_the_report_shows_surfaces_and_histograms() -> None:
    job = case_job("logit-pairing", limit=10)
    evaluation: Evaluation = evaluate(replace(job, recipes=(replace(job.recipes[-1], restarts=1),)))
    sections = advplug_report_sections(evaluation)
    assert [section.title for section in sections] == ["Loss surfaces", "Losses over restarts"]
    assert all("data:image/svg+xml" in section.html for section in sections)
    assert not advplug_report_sections(replace(evaluation, case="mine"))
    assert not advplug_report_sections(replace(evaluation, preset="paper"))
