"""The effect on real digits that ship: one class at a time passes detectors that the loss of the authors does not."""

from __future__ import annotations

from dataclasses import replace

import eagerpy as ep
import pytest
import torch
from advplug_adaptive_aat import advplug_report_sections
from advplug_adaptive_aat._adaptive import ART, OTHERS
from advplug_adaptive_aat._raised import ends
from advplug_defense_aat import Integrated

from advplug import load
from advplug.evaluation import Evaluation, case_job, evaluate
from advplug.gradients import Exact, Selective
from advplug.losses import DetectorScore, Margin, View

MODES = ("mnist", "mnist-generative")


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    """What knows of no detector, the authors' loss, and the adaptive attack, on few digits."""
    job = case_job("aat", limit=20)
    kept = [recipe for recipe in job.recipes if recipe.role == "baseline" and recipe.library != ART]
    return evaluate(replace(job, recipes=(*kept, job.recipes[-1])))


def test_each_class_in_turn_finds_more_than_the_authors_loss(evaluation: Evaluation) -> None:
    blind, authors, adaptive = (row.robust_accuracy for row in evaluation.rows)
    assert evaluation.clean_accuracy >= 0.8
    assert adaptive <= authors - 0.1
    assert adaptive <= blind - 0.1


@pytest.mark.parametrize("preset", MODES)
def test_the_last_recipe_switches_from_the_classifier_to_the_detector(preset: str) -> None:
    last = case_job("aat", preset=preset, limit=1).recipes[-1]
    assert (last.loss, last.gradient, last.targets) == (Margin(), Selective(DetectorScore()), "each")
    assert (last.attack.steps, last.attack.random_start) == (50, False)
    assert last.published == (0.37 if "generative" in preset else 0.11)


@pytest.mark.parametrize("preset", MODES)
def test_the_authors_loss_is_that_of_the_mode(preset: str) -> None:
    (recipe,) = (
        one for one in case_job("aat", preset=preset, limit=1).recipes if one.role == "baseline" and one.published
    )
    expected = (OTHERS, Exact()) if "generative" in preset else (Margin(), Selective(OTHERS))
    assert (recipe.loss, recipe.gradient) == expected


def test_the_authors_loss_ignores_the_detector_of_the_true_class() -> None:
    scores = ep.astensor(torch.tensor([[9.0, 1.0, 2.0], [0.0, 5.0, -1.0]]))
    labels = ep.astensor(torch.tensor([0, 2]))
    model = load("defense:aat")().build("mnist")
    view = View(model, scores, scores, labels, None, labels, {"features": scores})
    assert OTHERS(view).raw.tolist() == [-2.0, -5.0]


def test_the_adaptive_attack_raises_the_detector_that_decides() -> None:
    model, digits = load("defense:aat")().build("mnist"), load("data:mnist")().load("shipped", 12)
    assert isinstance(model, Integrated)
    authors, adaptive = (ends(model, digits.inputs, digits.labels, 0.3, each=each) for each in (False, True))
    for points in (authors, adaptive):
        wrong = points[~points.isnan().any(1)]
        assert len(wrong) >= 6
        assert (wrong[:, 1] <= wrong[:, 0] + 1e-5).all(), "the answer's detector is one of those of other classes"
    both = ~(authors + adaptive).isnan().any(1)
    assert adaptive[both, 1].mean() > authors[both, 1].mean()
    untouched = ends(model, digits.inputs, digits.labels, 1e-6, each=True)
    right = model(digits.inputs).argmax(1) == digits.labels
    assert untouched[right].isnan().all()


def test_the_report_shows_which_detector_is_raised(evaluation: Evaluation) -> None:
    (section,) = advplug_report_sections(evaluation)
    assert "data:image/svg+xml" in section.html
    assert not advplug_report_sections(replace(evaluation, preset="mnist-generative"))
    assert not advplug_report_sections(replace(evaluation, case="mine"))
    assert not advplug_report_sections(replace(evaluation, preset="paper"))
