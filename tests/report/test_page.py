"""The HTML page: whole, self-contained, escaped, and written at once or not at all."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import made_evaluations
import numpy as np
import pytest
from html_page import Page
from made_evaluations import arrays, inputs, row

from advplug import hookimpl
from advplug.errors import InvalidInput
from advplug.evaluation import Evaluation
from advplug.plugins.manager import Manager, using
from advplug.records.finding import Finding
from advplug.report import Section, write_report
from advplug.report.images import gallery


@pytest.fixture
def evaluation(tmp_path: Path) -> Evaluation:
    return made_evaluations.evaluation(tmp_path)


@pytest.fixture(autouse=True)
def no_plugins() -> Iterator[None]:
    with using(Manager(plugins=[])):
        yield


def text_of(evaluation: Evaluation) -> str:
    return write_report(evaluation).read_text()


def test_everything_is_there_and_nothing_is_fetched(evaluation: Evaluation, tmp_path: Path) -> None:
    path = write_report(evaluation)
    assert path == tmp_path / "report.html"
    text = path.read_text()
    page = Page(text)
    assert page.headings == [
        "Attacks", "Accuracy against budget", "Broken samples", "Loss over evaluations", "Queries to success",
        "Not drawn", "Diagnostics", "Checklist", "Recipes", "How to reproduce",
    ]  # fmt: skip
    assert len(page.images) == 4
    assert all(image["alt"] and str(image["src"]).startswith("data:image/svg+xml;base64,") for image in page.images)
    assert all(reference.startswith(("data:", "#")) for reference in page.references)
    assert "http://" not in text
    assert "https://" not in text
    assert "@import" not in text
    assert "<script" not in text
    flat = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", text))
    for words in (
        "toy (preset mnist) under linf:0.3 is broken: 100.0 % accuracy without an attack, 75.0 % under the "
        "strongest baseline (weak), 0.0 % under the adaptive attack (strong).",
        "It resists.", "It does not.", "Source of weak", "Source of strong", "0.0 % [0.0, 24.2]", "count as lost",
        "verified by a fresh decision", "The loss is flat.", "Change the loss.", "strong(steps=3)", "seed7", "torch9.9",
        "prefers-color-scheme",
    ):  # fmt: skip
        assert words in flat, words


def test_figures_are_svg_without_outside_references_and_follow_the_colour_scheme(evaluation: Evaluation) -> None:
    for image in Page(text_of(evaluation)).images:
        svg = base64.b64decode(str(image["src"]).partition(",")[2]).decode()
        assert "prefers-color-scheme:dark" in svg
        references = re.findall(r'href="([^"]*)"', svg)
        assert all(reference.startswith(("#", "data:")) for reference in references)


def test_broken_samples_are_named_with_both_classes(evaluation: Evaluation) -> None:
    drawn = gallery(evaluation).figure
    assert drawn is not None
    label = evaluation.class_names[int(evaluation.labels[0])]
    assert drawn.axes[0].get_title() == f"{label} to {evaluation.class_names[1]}\n0.3"


def test_the_same_evaluation_gives_the_same_page(evaluation: Evaluation) -> None:
    assert text_of(evaluation) == text_of(evaluation)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_traces_without_a_finite_value(evaluation: Evaluation, value: float) -> None:
    trace = np.full((5, 12), value, np.float32)
    rows = tuple(replace(one, arrays=arrays(trace=trace)) for one in evaluation.rows)
    text = text_of(replace(evaluation, rows=rows))
    assert "No attack recorded its loss." in text
    partly = trace.copy()
    partly[[2, 4], 3] = 1.0, 2.0  # one point is no curve
    rows = (replace(rows[0], arrays=arrays(trace=partly)), rows[1])
    assert len(Page(text_of(replace(evaluation, rows=rows))).images) == 4


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"adversarials": None}, "No adversarials were recorded."),
        ({"success": np.zeros(12, bool)}, "strong broke no sample."),
    ],
)
def test_no_samples_to_show(evaluation: Evaluation, change: dict[str, Any], reason: str) -> None:
    recorded = {name: value for name, value in arrays(**change).items() if value is not None}
    rows = (evaluation.rows[0], replace(evaluation.rows[1], arrays=recorded))
    assert reason in text_of(replace(evaluation, rows=rows))


def test_inputs_that_are_no_images(evaluation: Evaluation) -> None:
    flat = inputs().reshape(12, 36)
    rows = (evaluation.rows[0], replace(evaluation.rows[1], arrays=arrays(adversarials=flat)))
    assert "no images to show" in text_of(replace(evaluation, inputs=flat, rows=rows))


def test_colour_images(evaluation: Evaluation) -> None:
    colour = np.repeat(inputs(), 3, axis=1)
    rows = (evaluation.rows[0], replace(evaluation.rows[1], arrays=arrays(adversarials=1 - colour)))
    assert "channel that changed most" in text_of(replace(evaluation, inputs=colour, rows=rows))


def test_minimum_norm_runs_are_drawn_from_their_distances(evaluation: Evaluation) -> None:
    rows = tuple(replace(one, shrunk=(), sweep=()) for one in evaluation.rows)
    text = text_of(replace(evaluation, threat="l2:min", rows=rows))
    assert len(Page(text).images) == 4
    assert "median distance, best of all attacks" in text


def test_an_evaluation_without_rows_or_records(evaluation: Evaluation) -> None:
    bare = replace(evaluation, rows=(), findings=(), claim=None, lesson=None, environment={}, preset=None)
    text = text_of(bare)
    assert Page(text).images == []
    assert "no attack was run" in text
    assert Page(text_of(replace(evaluation, rows=(row("a", "baseline", 0.1, arrays={}, shrunk=()),))))


def test_detector_and_stochastic_figures_are_explained(evaluation: Evaluation) -> None:
    rows = tuple(replace(one, detected=0.25) for one in evaluation.rows)
    text = text_of(replace(evaluation, rows=rows, false_positives=0.05, clean_error_rate=0.125))
    for words in ("rejects 5.0 % of the clean inputs", "25.0 %", "12.5 % of its draws", 'scope="col">Detected</th>'):
        assert words in text


def test_texts_are_escaped(evaluation: Evaluation) -> None:
    bad = "<b>$x_{1</b> & \"'"
    rows = (replace(evaluation.rows[0], name=bad, source=bad, components={"attack": bad}), evaluation.rows[1])
    finding = Finding(name=bad, status="fail", message=bad, advice=bad)
    text = text_of(
        replace(evaluation, case=bad, claim=bad, rows=rows, findings=(finding,), class_names=("$a_{", "<i>"))
    )
    assert "<b>" not in text.replace('<div class="tile"><b>', "")
    Page(text)


def test_sections_of_plugins(evaluation: Evaluation) -> None:
    class Good:
        @hookimpl
        def advplug_report_sections(self, evaluation: Evaluation) -> list[Section]:
            return [Section(title=f"More on <{evaluation.case}>", html="<p id='more'>text</p>")]

    class Wrong:
        @hookimpl
        def advplug_report_sections(self) -> list[str]:
            return ["no section"]

    class Raises:
        @hookimpl
        def advplug_report_sections(self) -> list[Section]:
            raise RuntimeError("a bug")

    with using(Manager(plugins=[Good(), Wrong(), Raises()])) as manager:
        text = text_of(evaluation)
    assert "More on <toy>" in Page(text).headings
    assert "<p id='more'>text</p>" in text
    assert sorted(failure.distribution for failure in manager.failures) == ["raises", "wrong"]


def test_a_failed_report_keeps_the_earlier_one(evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_report(evaluation)
    before = path.read_text()

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "chmod", fail)
    with pytest.raises(OSError, match="disk full"):
        write_report(replace(evaluation, case="other"))
    assert path.read_text() == before
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


def test_where_it_is_written(evaluation: Evaluation, tmp_path: Path) -> None:
    homeless = replace(evaluation, run_dir=None)
    with pytest.raises(InvalidInput, match="no run directory"):
        write_report(homeless)
    assert write_report(homeless, tmp_path / "new" / "page.html").is_file()
