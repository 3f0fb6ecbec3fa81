"""The published effect on digits that ship: PGD is detected, matched logits are not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from advplug_adaptive_odds import advplug_report_sections
from advplug_adaptive_odds._references import of_images, shipped, single

from advplug import load
from advplug.errors import InvalidInput
from advplug.evaluation import Evaluation, case_job, evaluate


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    """The strongest baseline, the source's single reference, and the adaptive attack, on few digits."""
    job = case_job("odds", limit=15)
    chosen = [recipe for recipe in job.recipes if recipe.name.startswith(("PGD-10", "one", "the same"))]
    return evaluate(replace(job, recipes=(chosen[0], *chosen[-2:])))


def test_what_pgd_leaves_behind_the_detector_the_adaptive_attack_takes(evaluation: Evaluation) -> None:
    baseline, single_reference, adaptive = evaluation.rows
    assert evaluation.false_positives is not None
    assert evaluation.false_positives <= 0.03
    assert baseline.robust_accuracy >= 0.6
    assert baseline.detected is not None
    assert baseline.detected >= 0.6, "it is the detector, not the classifier, that withstands PGD"
    assert adaptive.robust_accuracy <= 0.05
    assert single_reference.robust_accuracy > adaptive.robust_accuracy


def test_the_shipped_references_are_logits_of_clean_digits() -> None:
    model = load("defense:odds")().build("mnist")
    digits = load("data:mnist")().load("shipped", 5000)[4500:]
    references = shipped("mnist")
    torch.testing.assert_close(references, of_images(model, digits), rtol=1e-4, atol=1e-3)
    assert references.argmax(1).tolist() == list(range(10))
    with pytest.raises(InvalidInput, match="class 1"):
        of_images(model, digits[digits.labels == 0])


def test_no_class_is_its_own_reference() -> None:
    references = torch.eye(4)
    assert single(references).argmax(1).tolist() == [1, 0, 0, 0]
    with pytest.raises(InvalidInput, match="paper"):
        shipped("paper")


def test_the_report_shows_the_scores(evaluation: Evaluation) -> None:
    (section,) = advplug_report_sections(evaluation)
    assert "data:image/svg+xml" in section.html
    assert not advplug_report_sections(replace(evaluation, case="mine"))
    assert not advplug_report_sections(replace(evaluation, preset="paper"))
