"""The published effect on real digits that ship: what plain PGD leaves standing, finite differences break."""

from __future__ import annotations

import pytest

from advplug.evaluation import Evaluation, case_job, evaluate
from advplug.manager import default_manager


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return evaluate(case_job("kwta", limit=100))


def _left(evaluation: Evaluation, name: str) -> float:
    return next(row.robust_accuracy for row in evaluation.rows if row.name == name)


def test_the_adaptive_attack_breaks_what_the_baselines_call_robust(evaluation: Evaluation) -> None:
    adaptive = _left(evaluation, "PGD, margin, finite differences")
    assert evaluation.clean_accuracy >= 0.95
    assert adaptive <= 0.05
    for baseline in ("PGD-40, Foolbox", "PGD-40, ART"):
        assert _left(evaluation, baseline) >= adaptive + 0.2
    assert evaluation.broken


def test_ten_times_the_steps_do_not_do_it(evaluation: Evaluation) -> None:
    assert _left(evaluation, "PGD-400, margin") > _left(evaluation, "PGD, margin, finite differences")


def test_the_same_baseline_leaves_little_of_the_network_with_relu() -> None:
    """What the activation adds is masking: without it the same evaluation is honest."""
    control = evaluate(case_job("kwta", preset="mnist-relu", limit=50))
    assert _left(control, "PGD-40, Foolbox") <= 0.1


def test_the_case_names_a_defense_and_attacks_that_are_there() -> None:
    manager = default_manager()
    spec = next(spec for spec in manager.specs("adaptive") if spec.name == "kwta")
    assert manager.find(f"defense:{spec.breaks}")
    assert all(manager.find(f"attack:{name}") for name in spec.drives)
