"""Figures and sentences of an evaluation."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from advplug.evaluation import Evaluation, Row
from advplug.evaluation.diagnostics.intervals import wilson
from advplug.report.markdown import markdown
from advplug.report.summary import lines, percent, remarks, sources, verdict


def row(name: str, role: str, accuracy: float, **fields: Any) -> Row:
    defaults: dict[str, Any] = {"published": None, "source": None, "library": "adversarial-robustness-toolbox"}
    return Row(
        name=name, role=role, robust_accuracy=accuracy, detected=None, queries=1234.4, gradients=0, seconds=0.04,
        **{**defaults, **fields},
    )  # fmt: skip


def evaluation(*rows: Row) -> Evaluation:
    return Evaluation(
        case="toy", preset=None, threat="l2:1", samples=100, clean_accuracy=0.9, clean_error_rate=None,
        false_positives=None, rows=rows,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("share", "samples", "low", "high"),
    # R: prop.test(x, n, correct = FALSE)
    [
        (0.0, 10, 0.0, 0.2775),
        (0.5, 10, 0.2366, 0.7634),
        (0.9, 100, 0.8256, 0.9448),
        (1.0, 50, 0.9287, 1.0),
        (0.3, 0, 0, 1),
    ],
)
def test_wilson_interval(share: float, samples: int, low: float, high: float) -> None:
    assert wilson(share, samples) == pytest.approx((low, high), abs=1e-4)


def test_percent() -> None:
    assert [percent(share) for share in (0, 0.1254, 1)] == ["0.0 %", "12.5 %", "100.0 %"]


def test_verdicts() -> None:
    strong, weak = row("a", "baseline", 0.6), row("b", "baseline", 0.7)
    broken = verdict(evaluation(strong, weak, row("c", "adaptive", 0.2), row("d", "adaptive", 0.01)))
    assert "is broken" in broken
    assert "60.0 % under the strongest baseline (a), 1.0 % under the adaptive attack (d)" in broken
    assert "is not broken" in verdict(evaluation(strong, row("c", "adaptive", 0.4)))
    plain = verdict(evaluation(weak, strong))
    assert "strongest attack run (a)" in plain
    assert "broken" not in plain
    assert "no attack was run" in verdict(evaluation())


def test_sources_are_numbered_once_and_only_where_a_figure_has_one() -> None:
    found = evaluation(
        row("a", "baseline", 0.5, published=0.4, source="one"),
        row("b", "baseline", 0.5, published=0.3, source="two"),
        row("c", "adaptive", 0.0, published=0.0, source="one"),
        row("d", "adaptive", 0.0, source="three"),
        row("e", "adaptive", 0.0, published=0.1),
    )
    assert sources(found) == ["one", "two"]
    assert [line.note for line in lines(found)] == [None, 1, 2, 1, None, None]
    assert [line.published for line in lines(found)] == ["", "40.0 %", "30.0 %", "0.0 %", "", "10.0 %"]


def test_lines_are_formatted() -> None:
    clean, line = lines(evaluation(row("a", "baseline", 0.5)))
    assert (clean.role, clean.name, clean.accuracy, clean.interval) == ("clean", "no attack", "90.0 %", "[82.6, 94.5]")
    assert (line.library, line.queries, line.gradients, line.seconds) == ("ART", "1,234", "0", "0.0")


def test_markdown_cells_cannot_end_the_cell() -> None:
    text = markdown(evaluation(row("a|b\nc", "adaptive", 0.0, published=0.0, source="Table 1")))
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in table} == {10}
    assert "1. Table 1" in text


def test_a_plugin_that_brings_a_section_does_not_pay_for_matplotlib() -> None:
    code = "import sys, advplug.report; print([name for name in ('matplotlib', 'jinja2') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ((("apgd-ce", 0.5), ("square", 0.0)), "which left 0.0 %: there was nothing to search for."),
        ((("square", 0.5),), "which left 50.0 %; no sentence that it tried on these broke more, which is no proof"),
        ((("square", 0.5), ("search 1: pgd on margin", 0.5)), "no sentence that it tried on these broke more"),
        (
            (("square", 0.5), ("search 1: pgd on margin", 0.1), ("search 2: fgm", 0.1)),
            "which left 50.0 %, and searched there for what breaks more: pgd on margin. That left 10.0 %.",
        ),
    ],
)
def test_what_a_search_did_is_said(stages: tuple[tuple[str, float], ...], said: str) -> None:
    searched = row("auto", "attack", stages[-1][1], stages=stages, components={"attack": "Auto(trials=64)"})
    (text,) = (text for text in remarks(evaluation(searched)) if text.startswith("auto ran the standard suite, which"))
    assert said in text
    other = row("standard", "attack", 0.1, stages=stages, components={"attack": "Standard(steps=100)"})
    assert not any("ran the standard suite" in text for text in remarks(evaluation(other)))


def test_a_sweep_shows_its_accuracies_and_the_queries_of_the_full_budget_apart() -> None:
    """Both were in the figure of the page alone."""
    swept = row(
        "pgd", "attack", 0.1, sweep=((8 / 255, 0.6), (0.5, 0.3), (1.0, 0.1)),
        queries_at=((8 / 255, 1000.0), (0.5, 200.0), (1.0, 34.4)),
    )  # fmt: skip
    text = markdown(evaluation(swept, row("fgm", "attack", 0.8)))
    head, _, clean, first, second = (
        [cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")
    )
    cells = dict(zip(head, first, strict=True))
    assert [cells[name] for name in ("at 8/255", "at 0.5", "queries", "at full budget")] == [
        "60.0 %", "30.0 %", "1,234", "34",
    ]  # fmt: skip
    assert dict(zip(head, clean, strict=True))["at 0.5"] == "90.0 %"
    assert dict(zip(head, second, strict=True))["at 0.5"] == "", "it ran at one budget"
    assert any("those at 1 alone stand apart" in remark for remark in remarks(evaluation(swept)))
    assert "at full budget" not in markdown(evaluation(row("fgm", "attack", 0.8)))
