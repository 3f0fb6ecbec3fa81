"""What masks keep of a small network's accuracy, and what of the published effect reproduces on digits that ship."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from advplug_adaptive_me_net import advplug_report_sections
from advplug_adaptive_me_net._adaptive import FOOLBOX, MASKS
from advplug_adaptive_me_net._masks import seen
from advplug_defense_me_net import Bare, Masked

from advplug import load
from advplug.evaluation import Evaluation, case_job, evaluate
from advplug.gradients import EOT, Exact


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    """Foolbox through one mask in each step, the network alone, and four masks instead of forty."""
    job = case_job("me-net", limit=20)
    kept = [recipe for recipe in job.recipes if recipe.library == FOOLBOX or recipe.role == "control"]
    return evaluate(replace(job, recipes=(*kept, replace(job.recipes[-1], gradient=EOT(4)))))


def test_the_network_alone_loses_what_masks_keep(evaluation: Evaluation) -> None:
    baseline, alone, adaptive = (row.robust_accuracy for row in evaluation.rows)
    assert evaluation.clean_accuracy >= 0.85
    assert alone <= adaptive - 0.3
    assert adaptive <= baseline + 0.05


def test_the_last_recipe_averages_over_masks() -> None:
    job = case_job("me-net", limit=1)
    one, last = job.recipes[-2:]
    assert (one.gradient, last.gradient) == (Exact(), EOT(MASKS))
    assert one.attack == last.attack
    assert last.published == 0.15
    (control,) = (recipe for recipe in job.recipes if recipe.role == "control")
    assert isinstance(control.on, Bare)


def test_the_network_alone_is_a_case_of_its_own() -> None:
    recipes = case_job("me-net", preset="mnist-base", limit=1).recipes
    assert [recipe.role for recipe in recipes] == ["baseline", "baseline", "adaptive"]
    assert {recipe.published for recipe in recipes[:2]} == {None}


def test_the_estimate_is_nearer_to_the_masked_image_than_to_the_image() -> None:
    model, digits = load("defense:me-net")().build("mnist"), load("data:mnist")().load("shipped", 4)
    assert isinstance(model, Masked)
    x = digits.inputs
    images = seen(model, x)
    assert torch.equal(images[:, 0], x)
    drawn = torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) < model.observed
    masked = torch.where(drawn, (2 * (2 * x - 1)).clamp(-1, 1), 0) / 2 + 0.5
    assert (images[:, 1] - masked).norm() < 0.3 * (images[:, 1] - x).norm()


def test_the_report_shows_what_the_network_sees(evaluation: Evaluation) -> None:
    (section,) = advplug_report_sections(evaluation)
    assert "data:image/svg+xml" in section.html
    assert not advplug_report_sections(replace(evaluation, case="mine"))
    assert not advplug_report_sections(replace(evaluation, preset="mnist-base"))
