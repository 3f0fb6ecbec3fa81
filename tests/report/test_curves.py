"""Accuracy against budget: what is drawn, and that caption and legend say it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import made_evaluations
import numpy as np
import pytest

from advplug.evaluation import Evaluation
from advplug.report.curves import security_curve
from advplug.report.looks import looks
from advplug.report.page import render


@pytest.fixture
def evaluation(tmp_path: Path) -> Evaluation:
    return made_evaluations.evaluation(tmp_path)


def test_the_dashes_bound_the_accuracy_and_no_run(evaluation: Evaluation) -> None:
    """A run with a smaller budget may do worse than the adversarials of the largest one, drawn back to it.

    The caption called the dashes a bound of what such a run would leave; 7 runs of one report lay above them.
    """
    shrunk = ((0.0, 1.0), (0.1, 0.25), (0.3, 0.0))
    row = replace(evaluation.rows[1], shrunk=shrunk, sweep=((0.1, 0.5), (0.3, 0.0)))
    picture = security_curve(replace(evaluation, rows=(row,)))
    assert picture.figure is not None
    drawn = {
        line.get_linestyle(): dict(zip(*line.get_data(), strict=True)) for line in picture.figure.axes[0].lines[:2]
    }
    assert drawn["-"][0.1] > drawn["--"][0.1]
    assert "The accuracy of the model at that budget is at most so high; a run of the attack" in picture.caption
    assert "may leave more, or less" in picture.caption
    (legend,) = picture.figure.legends
    assert "at most: found adversarials, drawn back" in [text.get_text() for text in legend.get_texts()]


def test_without_dashes_no_word_of_them(evaluation: Evaluation) -> None:
    rows = tuple(replace(row, shrunk=()) for row in evaluation.rows)
    assert "dashes" not in security_curve(replace(evaluation, rows=rows)).caption


def test_the_marker_of_a_minimum_norm_attack_is_at_its_median(evaluation: Evaluation) -> None:
    """Distances 1 to 5 of five broken samples, the other seven stand: the median is 3, and 9 of 12 are left there."""
    success = np.arange(12) < 5
    distance = np.where(success, np.arange(12) + 1.0, np.nan)
    records = made_evaluations.arrays(success=success, distance=distance)
    rows = tuple(replace(row, shrunk=(), sweep=(), arrays=records, median_distance=3.0) for row in evaluation.rows)
    made = replace(evaluation, threat="l2:min", rows=rows)
    picture = security_curve(made)
    assert picture.figure is not None
    for line, look in zip(picture.figure.axes[0].lines, looks(made), strict=False):
        x, y = line.get_data()
        (place,) = line.get_markevery()
        assert (line.get_marker(), x[place], y[place]) == (look.marker, 3.0, pytest.approx(75.0))
    handles = picture.figure.legends[0].legend_handles
    assert [handle.get_marker() for handle in handles[: len(rows)]] == [look.marker for look in looks(made)]
    assert "The marker of an attack is at the median of its distances." in picture.caption


def test_tiles_of_a_minimum_norm_run_are_distances(evaluation: Evaluation) -> None:
    rows = tuple(replace(row, shrunk=(), sweep=(), median_distance=0.3) for row in evaluation.rows)
    text = render(replace(evaluation, threat="l2:min", rows=rows))
    tiles = text[text.index('class="tiles"') : text.index("</header>")]
    assert tiles.count("<b>") == 3
    assert tiles.count("<b>0.3</b>") == 2
    assert tiles.count("%</b>") == 1, "the accuracy without an attack alone"
    assert tiles.count('class="bar"') == 1
