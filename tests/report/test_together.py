"""All attacks together: each sample counts as the attack that was best on it left it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import made_evaluations
import numpy as np
import pytest

from advplug.evaluation import Evaluation
from advplug.report import together
from advplug.report.csv_tables import attacks_csv
from advplug.report.curves import security_curve
from advplug.report.page import render
from advplug.report.summary import lines, verdict

NAN = np.nan


def of(folder: Path, threat: str, rows: dict[str, dict[str, Any]], **fields: Any) -> Evaluation:
    """An evaluation of four samples whose rows hold the given records."""
    made = made_evaluations.evaluation(folder)
    built = tuple(
        made_evaluations.row(
            name, "attack", float(np.mean(records["correct"] & ~records["success"])), shrunk=(), library="advplug",
            arrays=records, sweep=tuple(records.pop("sweep", ())),
        )
        for name, records in rows.items()
    )  # fmt: skip
    return replace(made, threat=threat, samples=4, clean_accuracy=0.75, rows=built, **fields)


def records(success: list[bool], distance: list[float], **others: Any) -> dict[str, Any]:
    correct = np.array([True, True, True, False])
    return {"success": np.array(success), "distance": np.array(distance), "correct": correct, **others}


def two(folder: Path) -> Evaluation:
    """Each of two attacks breaks another sample, the second at half of the budget already."""
    one = records([True, False, False, False], [0.2, NAN, NAN, NAN], sweep=[(0.1, 0.75), (0.2, 0.5)])
    other = records([False, True, False, False], [NAN, 0.1, NAN, NAN], sweep=[(0.1, 0.5), (0.2, 0.5)])
    return of(folder, "linf:0.2", {"one": one, "other": other})


def test_the_best_of_each_sample(tmp_path: Path) -> None:
    made = two(tmp_path)
    assert [row.robust_accuracy for row in made.rows] == [0.5, 0.5]
    assert together.accuracy(made) == 0.25
    assert together.curve(made) == ((0.0, 0.75), (0.1, 0.5), (0.2, 0.25))
    assert lines(made)[-1].accuracy == "25.0 %"
    assert (lines(made)[-1].role, lines(made)[-1].name) == ("all", "best per sample")
    assert "All attacks together, the best on each sample, leave 25.0 %." in verdict(made)
    picture = security_curve(made)
    assert "all together, per sample, 25.0 % at 0.2" in picture.alt
    assert "one 75.0 % at 0.1, 50.0 % at 0.2" in picture.alt


def test_one_attack_alone_has_no_line_of_its_own(tmp_path: Path) -> None:
    made = two(tmp_path)
    alone = replace(made, rows=made.rows[:1])
    assert together.curve(alone) == ()
    assert [line.name for line in lines(alone)] == ["no attack", "one"]
    assert "together" not in verdict(alone)


def test_controls_attack_another_model(tmp_path: Path) -> None:
    made = two(tmp_path)
    rows = (made.rows[0], replace(made.rows[1], role="control"))
    assert together.accuracy(replace(made, rows=rows)) == 0.5


def test_random_models_count_by_the_share_of_draws(tmp_path: Path) -> None:
    one = records([True, False, False, False], [0.2, NAN, NAN, NAN], success_rate=np.array([0.9, 0.4, 0.0, 0.0]))
    other = records([False] * 4, [NAN] * 4, success_rate=np.array([0.0, 0.2, 0.5, 0.0]))
    made = of(tmp_path, "linf:0.2", {"one": one, "other": other}, clean_error_rate=0.1)
    assert together.accuracy(made) == pytest.approx((0.1 + 0.6 + 0.5 + 0) / 4)


def test_minimum_norm_takes_the_least_distance(tmp_path: Path) -> None:
    one = records([True, True, False, False], [1.0, 3.0, NAN, NAN])
    other = records([True, True, False, False], [2.0, 0.5, NAN, NAN])
    made = of(tmp_path, "l2:min", {"one": one, "other": other})
    assert together.nearest(made.rows).tolist() == [1.0, 0.5, np.inf, 0.0]
    assert together.curve(made) == ((0.0, 0.75), (0.5, 0.5), (1.0, 0.25))
    assert together.median_and_mean(made) == (0.5, 0.75)  # the lower of two in the middle, as torch has it
    assert lines(made)[-1].distances[:2] == ("0.5", "0.75")


def test_without_records_nobody_can_tell(tmp_path: Path) -> None:
    made = two(tmp_path)
    bare = replace(made, rows=(made.rows[0], replace(made.rows[1], arrays={})))
    assert together.accuracy(bare) is None
    assert together.curve(bare) == ()


def test_the_baselines_have_a_line_of_their_own_and_the_verdict_compares_with_it(tmp_path: Path) -> None:
    """Three baselines that leave 24 % at best left 15 % together, and the verdict spoke of 24 %."""
    made = two(tmp_path)
    weak = tuple(replace(row, role="baseline") for row in made.rows)
    adaptive = replace(weak[0], name="adapted", role="adaptive", robust_accuracy=0.0)
    case = replace(made, rows=(*weak, adaptive))
    assert case.baseline_accuracy == 0.25
    baselines, everything = lines(case)[-2:]
    assert (baselines.role, baselines.name, baselines.accuracy) == ("all", "best baseline per sample", "25.0 %")
    assert everything.name == "best per sample"
    assert "50.0 % under the strongest baseline (one), 25.0 % under all baselines together, 0.0 % under" in verdict(
        case
    )
    assert "all,best baseline per sample,,0.25" in attacks_csv(case)
    page = render(case)
    assert "best of the baselines per sample" in page
    assert "baselines together" in page


def test_whether_it_is_broken_is_measured_by_the_baselines_together(tmp_path: Path) -> None:
    made = two(tmp_path)
    weak = tuple(replace(row, role="baseline") for row in made.rows)
    left = replace(weak[0], name="adapted", role="adaptive", robust_accuracy=0.15)
    assert replace(made, rows=(weak[0], left)).broken  # a third of 50 %
    assert not replace(made, rows=(*weak, left)).broken  # and not of 25 %


def test_a_single_baseline_and_rows_without_records_count_alone(tmp_path: Path) -> None:
    made = two(tmp_path)
    weak = tuple(replace(row, role="baseline", arrays={}) for row in made.rows)
    assert replace(made, rows=weak).baseline_accuracy == 0.5
    assert made.baseline_accuracy is None
