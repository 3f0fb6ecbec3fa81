"""The published effect on real digits that ship: what plain PGD leaves standing, finite differences break."""

from __future__ import annotations

from dataclasses import replace

import pytest
from advplug_adaptive_kwta import advplug_report_sections
from advplug_adaptive_kwta._landscape import margins

from advplug import load
from advplug.evaluation import Evaluation, case_job, evaluate
from advplug.plugins.manager import default_manager


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return evaluate(case_job("kwta", limit=100))


def _left(evaluation: Evaluation, role: str) -> list[float]:
    """Robust accuracies of the rows of one role."""
    return [row.robust_accuracy for row in evaluation.rows if row.role == role]


def test_the_adaptive_attack_breaks_what_every_baseline_calls_robust(evaluation: Evaluation) -> None:
    (adaptive,) = _left(evaluation, "adaptive")
    assert evaluation.clean_accuracy >= 0.95
    assert adaptive <= 0.05
    assert {row.library for row in evaluation.rows if row.role == "baseline"} == {
        "foolbox",
        "adversarial-robustness-toolbox",
    }
    assert min(_left(evaluation, "baseline")) >= adaptive + 0.2
    assert evaluation.broken


def test_the_baselines_overlook_iterates_that_succeed(evaluation: Evaluation) -> None:
    """Backpropagated gradients find adversarial points here, by chance, and the last iterate loses them again."""
    any_iterate = next(row for row in evaluation.rows if row.name == "PGD-40, any iterate")
    assert any_iterate.robust_accuracy <= _left(evaluation, "baseline")[0] - 0.05


def test_the_same_baseline_leaves_little_of_the_network_with_relu() -> None:
    """What the activation adds is masking: without it the same evaluation is honest."""
    control = evaluate(case_job("kwta", preset="mnist-relu", limit=50))
    assert max(_left(control, "baseline")) <= 0.1


def test_the_margin_jumps_where_that_of_relu_is_smooth() -> None:
    digits = load("data:mnist")().load("shipped", 10)
    roughness = {}
    for preset in ("mnist", "mnist-relu"):
        model = load("defense:kwta")().build(preset)
        curve = margins(model, digits.inputs, digits.labels, 0.2)
        steps = curve.diff(dim=1)
        roughness[preset] = (steps.abs().amax(1) / steps.abs().median(1).values).min().item()
    assert roughness["mnist"] > 2 * roughness["mnist-relu"]


def test_the_report_shows_it(evaluation: Evaluation) -> None:
    (section,) = advplug_report_sections(evaluation)
    assert "data:image/svg+xml" in section.html
    assert not advplug_report_sections(replace(evaluation, case="mine"))
    assert not advplug_report_sections(replace(evaluation, preset="paper"))
    assert not advplug_report_sections(replace(evaluation, preset="mnist-relu"))


def test_the_case_names_a_defense_and_attacks_that_are_there() -> None:
    manager = default_manager()
    spec = next(spec for spec in manager.specs("adaptive") if spec.name == "kwta")
    assert manager.find(f"defense:{spec.breaks}")
    assert all(manager.find(f"attack:{name}") for name in spec.uses_attacks)
