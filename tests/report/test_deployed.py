"""Random models over fresh draws, and detectors at every rate of false alarms, as the page shows them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import made_evaluations
import pytest

from advplug.evaluation import Evaluation
from advplug.report.deployed import draw_intervals, roc_curves

DRAWS = {
    "draws": 16, "mean": 0.5, "majority": 0.4, "worst": 0.1,
    "mean_interval": [0.4, 0.6], "majority_interval": [0.3, 0.5], "worst_interval": [0.0, 0.2],
}  # fmt: skip
REJECTION: dict[str, Any] = {
    "clean": 30, "held_out": False, "false_positives": 0.1, "joint": 0.75, "success_at": {"5%": 0.5, "50%": 0.25},
    "roc": [[0.0, 0.0], [0.1, 0.6], [1.0, 1.0]],
}  # fmt: skip


@pytest.fixture
def made(tmp_path: Path) -> Evaluation:
    evaluation = made_evaluations.evaluation(tmp_path)
    rows = tuple(replace(row, randomised=DRAWS, rejection=REJECTION) for row in evaluation.rows)
    return replace(evaluation, rows=rows, false_positives=0.1, clean_error_rate=0.1)


def test_three_ways_of_counting_draws(made: Evaluation) -> None:
    picture = draw_intervals(made)
    assert picture.figure is not None
    assert "weak (foolbox): mean of the draws 50.0 %, majority of the draws 40.0 %, right in every draw 10.0 %" in (
        picture.alt
    )
    bars = [line.get_xdata() for line in picture.figure.axes[0].lines if len(line.get_xdata()) == 2]
    assert [list(bar) for bar in bars[::2]] == [[40, 60], [30, 50], [0, 20]]


def test_the_curve_of_a_detector(made: Evaluation) -> None:
    picture = roc_curves(made)
    assert picture.figure is not None
    line = picture.figure.axes[0].lines[0]
    assert (list(line.get_xdata()), list(line.get_ydata())) == ([0, 10, 100], [0, 60, 100])
    assert "strong: 75.0 % misclassified and accepted, 50.0 % at 5% alarms, 25.0 % at 50% alarms" in picture.alt
    assert "30 of the attacked inputs themselves" in picture.caption


def test_models_without_either(made: Evaluation) -> None:
    plain = made_evaluations.evaluation(made.run_dir or Path())
    assert draw_intervals(plain).figure is roc_curves(plain).figure is None
    silent = tuple(replace(row, rejection={"joint": 0.0, "clean": 3}) for row in made.rows)
    assert "offers no scores" in roc_curves(replace(made, rows=silent)).caption
