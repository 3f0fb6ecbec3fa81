"""Traces are cut where stages and restarts end, sample by sample, and never drawn as one curve of unlike losses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import made_evaluations
import numpy as np
import pytest

from advplug.evaluation import Evaluation
from advplug.report.traces import accuracy_after, loss_curves, restart_curves, segments


def of(tmp_path: Path, *, stages: tuple[tuple[str, float], ...] = (), restarts: int = 1, **arrays: Any) -> Evaluation:
    made = made_evaluations.evaluation(tmp_path)
    records = {**made_evaluations.arrays(4, adversarials=None), **arrays}
    records = {name: value for name, value in records.items() if value is not None}
    row = replace(made.rows[1], stages=stages, components={"restarts": str(restarts)}, arrays=records)
    return replace(made, rows=(row,), samples=4)


STAGES = (("first", 0.5), ("second", 0.25))


def test_stages_are_cut_at_their_borders(tmp_path: Path) -> None:
    trace = np.arange(5 * 4, dtype=np.float32).reshape(5, 4)
    counts = np.broadcast_to(np.array([[3, 0], [2, 0]]), (4, 2, 2))
    made = of(tmp_path, stages=STAGES, trace=trace, evaluations=counts)
    one, two = segments(made)
    assert (one.name, two.name) == ("strong, first", "strong, second")
    np.testing.assert_array_equal(one.trace, trace[:3])
    np.testing.assert_array_equal(two.trace, trace[3:])
    picture = loss_curves(made)
    assert picture.figure is not None
    assert [axes.get_title(loc="left") for axes in picture.figure.axes] == ["strong, first", "strong, second"]
    assert "strong, first: from 1.5 to 9.5 over 3 evaluations" in picture.alt


def test_samples_that_were_attacked_apart_have_borders_of_their_own(tmp_path: Path) -> None:
    """Two slices of two samples: the first took 2 + 1 evaluations, the second 1 + 3, in one table of four rows."""
    nan = np.nan
    trace = np.array([[1, 1, 5, 5], [2, 2, 6, 6], [3, 3, 7, 7], [nan, nan, 8, 8]], np.float32)
    counts = np.array([[[2, 0], [1, 0]]] * 2 + [[[1, 0], [3, 0]]] * 2)
    one, two = segments(of(tmp_path, stages=STAGES, trace=trace, evaluations=counts))
    np.testing.assert_array_equal(one.trace, [[1, 1, 5, 5], [2, 2, nan, nan]])
    np.testing.assert_array_equal(two.trace, [[3, 3, 6, 6], [nan, nan, 7, 7], [nan, nan, 8, 8]])


def test_restarts_are_separated_by_lines(tmp_path: Path) -> None:
    trace = np.arange(6 * 4, dtype=np.float32).reshape(6, 4)
    counts = np.broadcast_to(np.array([[2, 3, 1, 0]]), (4, 1, 4))
    figure = loss_curves(of(tmp_path, restarts=3, trace=trace, evaluations=counts)).figure
    assert figure is not None
    lines = [line.get_xdata()[0] for line in figure.axes[0].lines if len(set(line.get_xdata())) == 1]
    assert lines == [1.5, 4.5]


def test_stages_without_borders_on_record_are_named_and_not_drawn(tmp_path: Path) -> None:
    picture = loss_curves(of(tmp_path, stages=STAGES))
    assert picture.figure is None
    assert "Not drawn: strong" in picture.caption
    assert next(segments(of(tmp_path))).stage == ""  # an attack without stages needs no borders


def test_attacks_of_other_libraries_that_show_their_end_alone_are_left_out(tmp_path: Path) -> None:
    """The same loss in several draws of a random model is no curve; of an attack of our own it is a flat one."""
    made = of(tmp_path, trace=np.broadcast_to(np.float32([1, 2, 3, 4]), (5, 4)))
    assert loss_curves(made).figure is not None
    foreign = replace(made, rows=(replace(made.rows[0], library="foolbox"),))
    assert loss_curves(foreign).figure is None


def test_what_each_restart_gained(tmp_path: Path) -> None:
    trace = np.array([[4, 4, 4, 4], [2, 2, 2, 2], [np.nan, 3, 3, 3], [np.nan, 1, 1, 1]], np.float32)
    records = {
        "trace": trace,
        "evaluations": np.broadcast_to(np.array([[2, 2, 0]]), (4, 1, 3)),
        "success": np.array([True, True, False, False]),
        "restart": np.array([0, 1, -1, -1]),
        "correct": np.array([True, True, True, False]),
    }
    made = of(tmp_path, restarts=2, **records)
    assert accuracy_after(made.rows[0]) == pytest.approx([0.5, 0.25])
    picture = restart_curves(made)
    assert picture.figure is not None
    assert "strong: 50.0 % after the first start, 25.0 % after 2" in picture.alt
    accuracies, losses = (axes.lines[0].get_ydata() for axes in picture.figure.axes)
    assert list(accuracies) == [50.0, 25.0]
    assert list(losses) == [2.0, 1.0]


def test_losses_that_do_not_compare_have_panels_of_their_own_over_restarts(tmp_path: Path) -> None:
    """Cross-entropy from 4 to 2 and a margin of some hundreds: in one panel the first would be a flat line."""
    trace = np.array([[4, 4], [2, 2]], np.float32)
    one = of(tmp_path, restarts=2, trace=trace, evaluations=np.broadcast_to(np.array([[1, 1]]), (2, 1, 2)))
    scaled = {**one.rows[0].arrays, "trace": 100 * trace}
    made = replace(one, rows=(one.rows[0], replace(one.rows[0], name="scaled", arrays=scaled)))
    figure = restart_curves(made).figure
    assert figure is not None
    assert [axes.get_title(loc="left") for axes in figure.axes if axes.get_visible()] == [
        "accuracy after the restart (%)", "least loss, strong", "least loss, scaled",
    ]  # fmt: skip
    assert [list(axes.lines[0].get_ydata()) for axes in figure.axes[1:3]] == [[4.0, 2.0], [400.0, 200.0]]


def test_one_start_says_so(tmp_path: Path) -> None:
    picture = restart_curves(of(tmp_path))
    assert picture.figure is None
    assert "started once" in picture.caption
