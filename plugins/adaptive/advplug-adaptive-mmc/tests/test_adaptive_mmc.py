"""The published effect on real digits that ship: what the saturated softmax hides, the distances show."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from advplug_adaptive_mmc import advplug_report_sections
from advplug_adaptive_mmc._saturation import slopes

from advplug import load
from advplug.evaluation import Evaluation, case_job, evaluate
from advplug.losses import CentreDistance


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return evaluate(case_job("mmc", limit=100))


def _left(evaluation: Evaluation, role: str) -> list[float]:
    """Robust accuracies of the rows of one role."""
    return [row.robust_accuracy for row in evaluation.rows if row.role == role]


def test_the_adaptive_attack_breaks_what_every_baseline_calls_robust(evaluation: Evaluation) -> None:
    (adaptive,) = _left(evaluation, "adaptive")
    assert evaluation.clean_accuracy >= 0.95
    assert adaptive <= 0.02
    assert {row.library for row in evaluation.rows if row.role == "baseline"} == {
        "foolbox",
        "adversarial-robustness-toolbox",
    }
    assert min(_left(evaluation, "baseline")) >= 0.5
    assert evaluation.broken


def test_more_steps_on_the_cross_entropy_do_not_help_and_smaller_logits_do(evaluation: Evaluation) -> None:
    suite, entropy, tempered = _left(evaluation, "intermediate")
    assert suite <= 0.02, "it does not stop at the cross-entropy"
    assert entropy >= 0.5
    assert tempered <= 0.1


def test_the_last_recipe_visits_every_other_centre() -> None:
    job = case_job("mmc", limit=1)
    last = job.recipes[-1]
    assert last.targets == "each"
    assert isinstance(last.loss, CentreDistance)
    assert torch.equal(last.loss.centres, job.model.get_buffer("centres"))


def test_the_gradient_of_the_cross_entropy_is_zero_for_most_digits() -> None:
    digits = load("data:mnist")().load("shipped", 50)
    gaps, entropy, distance = slopes(load("defense:mmc")().build("mnist"), digits.inputs, digits.labels)
    assert len(gaps) >= 45
    assert (entropy == 0).double().mean() > 0.6
    assert torch.equal(entropy == 0, gaps > gaps[entropy > 0].max())
    assert (distance > 1).all()


def test_the_report_shows_it(evaluation: Evaluation) -> None:
    (section,) = advplug_report_sections(evaluation)
    assert "data:image/svg+xml" in section.html
    assert not advplug_report_sections(replace(evaluation, case="mine"))
    assert not advplug_report_sections(replace(evaluation, preset="paper"))
