"""The published effect on real digits that ship: what the decoder hides, and what the hinge in front of it finds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from advplug_adaptive_ecoc import advplug_report_sections
from advplug_adaptive_ecoc._saturation import FLAT, slopes

from advplug import load
from advplug.evaluation import Evaluation, Row, case_job, evaluate
from advplug.plugins.manager import default_manager

LAST = "hinge, each class, 5 restarts"


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return evaluate(case_job("ecoc", limit=40))


def _row(evaluation: Evaluation, name: str, library: str = "advplug") -> Row:
    return next(row for row in evaluation.rows if (row.name, row.library) == (name, library))


def test_the_adaptive_attack_breaks_what_every_baseline_calls_robust(evaluation: Evaluation) -> None:
    baselines = [row for row in evaluation.rows if row.role == "baseline"]
    assert {row.library for row in baselines} == {"foolbox", "adversarial-robustness-toolbox"}
    least = min(row.robust_accuracy for row in baselines)
    assert least >= 0.2
    assert _row(evaluation, LAST).robust_accuracy <= min(0.1, least / 4)
    assert evaluation.broken


def test_one_repair_alone_does_not_do(evaluation: Evaluation) -> None:
    """Cross-entropy of the decoded bits without tanh saturates as well; the hinge of the same scores does not."""
    assert _row(evaluation, "hinge").robust_accuracy <= _row(evaluation, "tanh left out").robust_accuracy / 2
    assert _row(evaluation, LAST).robust_accuracy <= _row(evaluation, "hinge").robust_accuracy


def test_the_case_names_a_defense_and_attacks_that_are_there() -> None:
    manager = default_manager()
    spec = next(spec for spec in manager.specs("adaptive") if spec.name == "ecoc")
    assert manager.find(f"defense:{spec.breaks}")
    assert all(manager.find(f"attack:{name}") for name in spec.uses_attacks)


def test_the_report_shows_where_the_gradient_goes(evaluation: Evaluation) -> None:
    (section,) = advplug_report_sections(evaluation)
    assert "data:image/svg+xml" in section.html
    assert not advplug_report_sections(replace(evaluation, case="mine"))
    assert not advplug_report_sections(replace(evaluation, preset="paper"))


def test_the_gradient_shrinks_at_the_decoder_and_is_lost_where_tanh_is_flat() -> None:
    """What the figure says, of the bits as they were trained and of bits far beyond the line."""
    digits = load("data:mnist")().load("shipped", 100)
    model = load("defense:ecoc")().build("mnist")
    _, entropy, hinge = slopes(model, digits.inputs, digits.labels)
    assert bool((entropy > 0).all())
    assert (entropy < hinge / 10).float().mean() >= 0.9
    model.gain = 30.0
    bits, entropy, hinge = slopes(model, digits.inputs, digits.labels)
    flat = (bits.abs() > FLAT).all(1)
    assert flat.any()
    assert bool((entropy[flat] == 0).all())
    assert bool((hinge > 0).all())
