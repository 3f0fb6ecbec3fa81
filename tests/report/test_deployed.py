"""Random models over fresh draws, and detectors at every rate of false alarms, as the page shows them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import made_evaluations
import pytest

from advplug.evaluation import Evaluation
from advplug.report.deployed import draw_intervals, roc_curves


@pytest.fixture
def made(tmp_path: Path) -> Evaluation:
    return made_evaluations.deployed(made_evaluations.evaluation(tmp_path))


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
