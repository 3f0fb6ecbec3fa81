"""What an evaluation answers by itself: the worst case of each sample, tables, a curve, a cell, a directory."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import advplug
from advplug import Evaluation, Images
from advplug.errors import InvalidInput
from advplug.records import Row
from advplug.testing.models import linear_case

FIGURES: dict[str, Any] = {
    "role": "baseline", "library": "advplug", "detected": None, "queries": 1.0, "gradients": 1.0, "seconds": 1.0,
    "published": None, "source": None,
}  # fmt: skip
LABELS = np.arange(4)
INPUTS = np.zeros((4, 2), np.float32)


def row(name: str, success: list[int], distance: list[float], correct: list[int], **changes: Any) -> Row:
    """An attack on four samples whose adversarials are as far as they say; it gives them the class 7 + its name."""
    hit = np.array(success, bool)
    arrays = {
        "adversarials": np.where(hit[:, None], np.array(distance, np.float32)[:, None] + INPUTS, INPUTS),
        "success": hit,
        "success_rate": hit.astype(np.float32),
        "correct": np.array(correct, bool),
        "distance": np.where(hit, distance, np.nan),
        "predicted": np.where(hit, 7 + len(name), LABELS),
        "forwards": np.full(4, 10),
        "backwards": np.full(4, 3),
        "target": np.full(4, -1),
    }
    arrays |= changes.pop("arrays", {})
    left = float((arrays["correct"] * (1 - arrays["success_rate"])).mean())
    return Row(name=name, robust_accuracy=left, arrays=arrays, **{**FIGURES, **changes})


def evaluation(*rows: Row, **changes: Any) -> Evaluation:
    fields: dict[str, Any] = {
        "case": "net", "preset": None, "threat": "linf:0.5", "samples": 4, "clean_accuracy": 0.75,
        "clean_error_rate": None, "false_positives": None, "rows": rows, "inputs": INPUTS, "labels": LABELS,
    }  # fmt: skip
    return Evaluation(**{**fields, **changes})


RIGHT = [1, 1, 1, 0]
ONE, OTHER = row("a", [1, 0, 0, 0], [0.4, 0, 0, 0], RIGHT), row("bb", [1, 1, 0, 0], [0.3, 0.2, 0, 0], RIGHT)
CONTROL = row("control", [1, 1, 1, 0], [0.1, 0.1, 0.1, 0], RIGHT, role="control")


def test_each_sample_counts_as_the_attack_worst_for_it_left_it() -> None:
    third = row("ccc", [0, 0, 1, 0], [0, 0, 0.1, 0], RIGHT)
    found = evaluation(ONE, OTHER, third, CONTROL)
    assert [one.robust_accuracy for one in found.rows[:3]] == [0.5, 0.25, 0.5]
    assert found.robust_accuracy == 0.0
    assert found.broken_by == ("bb", "bb", "ccc", "")
    assert found.adversarials[:, 0].tolist() == pytest.approx([0.3, 0.2, 0.1, 0])
    assert found.best is OTHER
    assert evaluation(ONE, OTHER, CONTROL).robust_accuracy == 0.25


def test_the_table_of_samples_has_labels_answers_distances_and_costs() -> None:
    table = evaluation(ONE, OTHER).per_sample()
    assert table["label"].tolist() == [0, 1, 2, 3]
    assert table["correct"].tolist() == [True, True, True, False]
    assert table["predicted"].tolist() == [9, 9, 2, 3]
    assert table["broken"].tolist() == [True, True, False, False]
    assert table["broken_by"].tolist() == ["bb", "bb", "", ""]
    assert table["distance"][:2].tolist() == [0.3, 0.2]
    assert np.isnan(table["distance"][2:]).all()
    assert table["queries"].tolist() == [20] * 4
    assert table["gradients"].tolist() == [6] * 4


def test_of_a_random_model_the_share_of_draws_counts() -> None:
    rates = {"success_rate": np.array([0.75, 0.25, 0, 0], np.float32)}
    surer = {"success_rate": np.array([1.0, 0, 0.5, 0], np.float32)}
    one = row("a", [1, 0, 0, 0], [0.1, 0, 0, 0], RIGHT, arrays=rates)
    other = row("bb", [1, 0, 0, 0], [0.4, 0, 0, 0], RIGHT, arrays=surer)
    found = evaluation(one, other)
    assert found.robust_accuracy == pytest.approx((0 + 0.75 + 0.5) / 4)
    assert found.broken_by[0] == "bb"  # the surer one, though it is further away


def test_without_an_attack_or_without_records() -> None:
    assert evaluation().robust_accuracy == 0.75
    assert evaluation().best is None
    plain = Evaluation.from_json(evaluation(ONE).to_json())
    for ask in (lambda: plain.robust_accuracy, plain.per_sample, lambda: evaluation().adversarials):
        with pytest.raises(InvalidInput, match=r"Evaluation\.load"):
            ask()


@pytest.fixture(scope="module")
def real() -> Evaluation:
    case = linear_case(20)
    data = Images(case.inputs, case.labels)
    return advplug.evaluate(case.model, data, "linf:0.05", ("fgm", "pgd"), sweep=3, name="line", progress=False)


def test_the_worst_case_is_that_of_the_returned_arrays(real: Evaluation) -> None:
    case = linear_case(20)
    with torch.no_grad():
        right = case.model(torch.from_numpy(real.adversarials)).argmax(1) == torch.from_numpy(real.labels)
    assert real.robust_accuracy == pytest.approx(float(right.double().mean()))
    assert 0 < real.robust_accuracy <= min(one.robust_accuracy for one in real.rows)
    distance = np.abs(real.adversarials - real.inputs).reshape(20, -1).max(axis=1)
    assert np.allclose(distance[~right.numpy()], real.per_sample()["distance"][~right.numpy()])


def test_pandas_has_a_row_per_attack_or_per_sample(real: Evaluation) -> None:
    pytest.importorskip("pandas")
    table = real.to_pandas()
    assert table["name"].tolist() == ["fgm", "pgd"]
    assert table["robust_accuracy"].tolist() == [one.robust_accuracy for one in real.rows]
    assert "steps=40" in table["attack"][1]
    samples = real.to_pandas("sample")
    assert len(samples) == 20
    assert 1 - samples["broken"].mean() == pytest.approx(real.robust_accuracy)
    assert len(evaluation().to_pandas()) == 0
    with pytest.raises(InvalidInput, match="choose attack or sample"):
        real.to_pandas("row")  # type: ignore[arg-type]


def test_where_pandas_is_missing_the_extra_is_named(real: Evaluation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InvalidInput, match=r"pip install 'advplug\[pandas\]'"):
        real.to_pandas()
    assert len(real.per_sample()["label"]) == 20


def test_the_curve_goes_into_a_figure_of_ones_own(real: Evaluation) -> None:
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    assert real.plot_security_curve(axes) is axes
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert {"fgm", "pgd", "no attack"} < set(lines)
    assert len(lines) == 4
    for one in real.rows:
        budgets, accuracies = (np.asarray(values, float) for values in lines[one.name].get_data())
        assert budgets.tolist() == pytest.approx([0, *(budget for budget, _ in one.sweep)])
        assert accuracies[1:].tolist() == pytest.approx([100 * left for _, left in one.sweep])
    (together,) = lines.keys() - {"fgm", "pgd", "no attack"}
    assert np.asarray(lines[together].get_ydata(), float)[-1] == pytest.approx(100 * real.robust_accuracy)


def test_every_result_has_a_plot(real: Evaluation) -> None:
    first, second = (
        lines[0].get_ydata() for lines in (real.plot().get_lines(), real.plot_security_curve().get_lines())
    )
    np.testing.assert_array_equal(first, second)


def test_the_curve_of_a_minimum_norm_run_has_a_step_for_each_distance() -> None:
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    replace(evaluation(ONE, OTHER), threat="linf:min").plot_security_curve(axes)
    lines = {line.get_label(): line for line in axes.get_lines()}
    budgets, accuracies = lines["bb"].get_data()
    assert np.asarray(budgets, float).tolist() == pytest.approx([0, 0.2, 0.3])
    assert np.asarray(accuracies, float).tolist() == [75, 50, 25]


def test_a_cell_of_a_notebook_has_the_verdict_first_and_escapes_names(real: Evaluation) -> None:
    html = replace(real, case="<b>net</b>")._repr_html_()
    assert html.index("accuracy without an attack") < html.index("<table>")
    assert "&lt;b&gt;net&lt;/b&gt;" in html
    assert all(f'<th scope="row">{one.name}</th>' in html for one in real.rows)
    assert html.count("<tr>") == 2 + len(real.rows) + 1  # heads, no attack, each attack, all together


def test_a_cell_of_a_notebook_tells_controls_and_libraries_apart(real: Evaluation) -> None:
    """Once a control that leaves 0 % stood among the attacks as if it had broken the defense."""
    assert "role" not in heads_of(real)
    first = replace(real.rows[0], role="baseline", library="foolbox", detected=0.5, published=0.25, source="A, 2020")
    case = replace(
        real, rows=(first, replace(first, role="control", library="advplug"), replace(first, role="adaptive"))
    )
    html = case._repr_html_()
    assert heads_of(case)[:3] == ["attack", "role", "library"]
    assert {"detected", "published"} < set(heads_of(case))
    for cells in ("<td>baseline</td><td>foolbox</td>", "<td>control</td><td>advplug</td>", "<td>adaptive</td>"):
        assert cells in html
    assert "<td>50.0 %</td>" in html
    assert "<td>25.0 % [1]</td>" in html
    assert "<p>[1] A, 2020</p>" in html


def heads_of(evaluation: Evaluation) -> list[str]:
    return re.findall(r'<th scope="col">([^<]*)</th>', evaluation._repr_html_())


def test_what_is_saved_is_loaded_bit_by_bit(real: Evaluation, tmp_path: Path) -> None:
    saved = real.save(tmp_path / "run")
    assert saved.run_dir == tmp_path / "run"
    loaded = Evaluation.load(tmp_path / "run")
    assert loaded == saved
    assert loaded.inputs.tobytes() == real.inputs.tobytes()
    for mine, theirs in zip(loaded.rows, real.rows, strict=True):
        assert all(mine.arrays[name].tobytes() == array.tobytes() for name, array in theirs.arrays.items())
    assert advplug.cli.run(["report", str(tmp_path / "run")]) == 0
    with pytest.raises(InvalidInput, match="no finished evaluation"):
        Evaluation.load(tmp_path)


def test_nothing_of_somebody_else_is_overwritten(real: Evaluation, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(InvalidInput, match="no run of advplug left there"):
        real.save(tmp_path)
    with pytest.raises(InvalidInput, match="no per-sample records to save"):
        Evaluation.from_json(real.to_json()).save(tmp_path / "run")
