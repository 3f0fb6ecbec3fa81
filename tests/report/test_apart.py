"""Tables of their own for random models and for detectors, in the terminal and in Markdown."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import made_evaluations
import pytest
from rich.console import Console

from advplug.cli import _console
from advplug.cli._table import print_table
from advplug.evaluation import Evaluation
from advplug.plugins.manager import Manager, using
from advplug.report.apart import apart
from advplug.report.markdown import whole_report


@pytest.fixture
def made(tmp_path: Path) -> Evaluation:
    return made_evaluations.deployed(made_evaluations.evaluation(tmp_path))


def test_a_line_for_each_attack_and_one_sentence_for_all(made: Evaluation) -> None:
    draws, detector = apart(made)
    assert (draws.title, draws.heads) == ("Accuracy over 16 fresh draws", ("mean", "majority", "right in all"))
    assert [(row.name, texts) for row, texts in draws.lines] == [
        (name, ("50.0 % [40.0, 60.0]", "40.0 % [30.0, 50.0]", "10.0 % [0.0, 20.0]")) for name in ("weak", "strong")
    ]
    assert detector.heads == ("accepted", "SR@5", "SR@50")
    assert [texts for _, texts in detector.lines] == [("75.0 %", "50.0 %", "25.0 %")] * 2
    assert detector.note.endswith(
        "False positives: 10.0 % [3.0, 26.0] of 30 clean inputs that were attacked themselves."
    )


def test_alarms_that_differ_are_a_column(made: Evaluation) -> None:
    other = {**made_evaluations.REJECTION, "false_positives": 0.2, "held_out": False}
    rows = (made.rows[0], replace(made.rows[1], rejection=other))
    (_, detector) = apart(replace(made, rows=rows))
    assert detector.heads[-1] == "false positives"
    assert [texts[-1] for _, texts in detector.lines] == ["10.0 % [3.0, 26.0]", "20.0 % [3.0, 26.0]"]
    assert "False positives: of 30 clean inputs" in detector.note


def test_runs_on_other_clean_images_are_not_mixed(made: Evaluation) -> None:
    rows = (
        made.rows[0],
        replace(made.rows[1], rejection={**made_evaluations.REJECTION, "clean": 500, "held_out": True}),
    )
    _, own, held_out = apart(replace(made, rows=rows))
    assert [row.name for row, _ in (*own.lines, *held_out.lines)] == ["weak", "strong"]
    assert held_out.note.endswith("of 500 clean inputs that were not attacked.")


def test_a_detector_without_scores_has_no_rates(made: Evaluation) -> None:
    silent = {name: value for name, value in made_evaluations.REJECTION.items() if name != "success_at"}
    _, detector = apart(replace(made, rows=tuple(replace(row, rejection=silent) for row in made.rows)))
    assert detector.heads == ("accepted",)
    assert "SR@" not in detector.note


def test_other_models_have_no_such_table(made: Evaluation) -> None:
    assert apart(made_evaluations.evaluation(made.run_dir or Path())) == []


@pytest.mark.parametrize(("width", "together"), [(80, False), (100, True), (120, True)])
def test_in_the_terminal(
    made: Evaluation, width: int, together: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once these were two sentences for each attack: 63 lines below a table of twelve attacks."""
    console = Console(width=width, force_terminal=True, no_color=True, highlight=False)
    monkeypatch.setattr(_console, "out", lambda: console)
    print_table(made)
    text = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert all(len(line.rstrip()) <= width for line in text.splitlines())
    draws = text.partition("Accuracy over 16 fresh draws")[2].partition("Past the detector")[0]
    assert re.search(r"mean +majority +right in all", draws)
    beside, below = r"50\.0 % \[40\.0, 60\.0\] +40\.0 %", r"\[40\.0, 60\.0\] +\[30\.0, 50\.0\] +\[0\.0, 20\.0\]"
    assert len(re.findall(beside if together else below, draws)) == 2
    assert len(re.findall(r"75\.0 % +50\.0 % +25\.0 %", text)) == 2
    assert " ".join(text.split()).count("of 30 clean inputs that were attacked themselves") == 1


def test_in_markdown(made: Evaluation) -> None:
    with using(Manager(plugins=[])):
        text = whole_report(made)
    assert "## Accuracy over 16 fresh draws" in text
    assert "| baseline | weak | foolbox | 50.0 % [40.0, 60.0] | 40.0 % [30.0, 50.0] | 10.0 % [0.0, 20.0] |" in text
    assert "| baseline | weak | foolbox | 75.0 % | 50.0 % | 25.0 % |" in text
