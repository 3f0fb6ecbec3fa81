"""Runs side by side: on the same samples, sample by sample, with what else differs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import made_evaluations
import numpy as np
import pytest

from advplug import cli
from advplug.errors import InvalidInput
from advplug.evaluation import Evaluation
from advplug.evaluation.storage.run_directory import RunDirectory
from advplug.plugins.manager import Manager, using
from advplug.records.finding import Finding
from advplug.report.comparison import ALL, CLEAN, Paired, compare, mcnemar
from advplug.report.comparison_page import curves, render, verdict


@pytest.fixture(autouse=True)
def no_plugins() -> Iterator[None]:
    with using(Manager(plugins=[])):
        yield


def run_of(folder: Path, success: list[int], name: str = "pgd", **fields: Any) -> Evaluation:
    """A run of one attack on twelve samples, which breaks those that are named."""
    made = made_evaluations.evaluation(folder)
    fallen = np.isin(np.arange(12), success)
    records = made_evaluations.arrays(
        12, success=fallen, distance=np.where(fallen, 0.3, np.nan), correct=np.ones(12, bool)
    )
    row = made_evaluations.row(name, "attack", 1 - len(success) / 12, library="advplug", arrays=records)
    return replace(made, rows=(row,), findings=(), **fields)


@pytest.mark.parametrize(
    ("one", "other", "p"),
    # R: binom.test(one, one + other)
    [(0, 0, 1.0), (5, 1, 0.21875), (0, 8, 0.0078125), (3, 3, 1.0), (12, 2, 0.01293945)],
)
def test_exact_mcnemar(one: int, other: int, p: float) -> None:
    assert mcnemar(one, other) == pytest.approx(p, rel=1e-6)
    assert mcnemar(other, one) == mcnemar(one, other)


def test_which_samples_fell_where(tmp_path: Path) -> None:
    found = compare({"a": run_of(tmp_path, [0, 1, 2]), "b": run_of(tmp_path, [2, 3, 4, 5, 6, 7])})
    assert found.same_samples
    clean, attack, whole = found.lines
    assert (clean.name, attack.name, whole.name) == (CLEAN, "pgd", ALL)
    assert attack.accuracies == (0.75, 0.5)
    assert attack.differences == (0.0, pytest.approx(-0.25))
    assert attack.paired[1] == Paired(12, 5, 2, mcnemar(5, 2))
    assert clean.paired[1] == Paired(12, 0, 0, 1.0)
    assert "The runs attacked the same samples." in verdict(found)
    assert "5 fell in b alone and 2 in a alone (exact McNemar test, p = 0.45)" in verdict(found)


def test_common_samples_are_found_wherever_they_stand(tmp_path: Path) -> None:
    """The second run holds eight samples of the first, turned round: sample 11 of the first is its sample 0."""
    first, second = run_of(tmp_path, [0, 11]), run_of(tmp_path, [0, 11])
    order = np.arange(11, 3, -1)
    records = {name: value[order] for name, value in second.rows[0].arrays.items() if name != "trace"}
    part = replace(
        second, samples=8, inputs=second.inputs[order], labels=second.labels[order],
        rows=(replace(second.rows[0], robust_accuracy=7 / 8, arrays=records),),
    )  # fmt: skip
    found = compare({"a": first, "b": part})
    assert not found.same_samples
    assert found.common == (12, 8)
    attack = found.lines[1]
    assert attack.paired[1] == Paired(8, 0, 0, 1.0)
    assert attack.differences[1] == pytest.approx(0)  # of the eight, the same one fell
    assert "of those of a (12) hold: b 8 of 8" in verdict(found)
    relabelled = replace(second, labels=second.labels + 1)
    assert compare({"a": first, "b": relabelled}).lines[1].paired[1] is None


def test_what_else_differs(tmp_path: Path) -> None:
    first = run_of(tmp_path, [0])
    environment = {
        "seed": 8,
        "versions": {"torch": "10"},
        "plugins": {"attack:x": {"version": "1"}},
        "command": "other",
    }
    row = replace(first.rows[0], components={**first.rows[0].components, "restarts": "5"})
    before = replace(first.rows[0], components={**first.rows[0].components, "restarts": "1"})
    findings = (Finding(name="a", id="G6", status="fail", message="m"), Finding(name="own", status="warn", message="m"))
    second = replace(first, threat="linf:0.2", environment=environment, rows=(row,), findings=findings)
    found = compare({"a": replace(first, rows=(before,)), "b": second})
    differences = {one.name: one.values for one in found.differences}
    assert differences == {
        "threat model": ("linf:0.3", "linf:0.2"),
        "restarts of pgd": ("1", "5"),
        "seed": ("7", "8"),
        "version of torch": ("9.9", "10"),
    }
    assert "They differ in threat model, seed." in verdict(found)
    assert {one.name.partition(" ")[0]: one.values for one in found.findings} == {
        "G6": ("not-run", "fail"), "own": ("", "warn"),
    }  # fmt: skip


def test_attacks_that_a_run_lacks(tmp_path: Path) -> None:
    found = compare({"a": run_of(tmp_path, [0]), "b": run_of(tmp_path, [0], name="apgd")})
    lines = {line.name: line for line in found.lines}
    assert lines["pgd"].accuracies == (pytest.approx(11 / 12), None)
    assert lines["pgd"].paired == (Paired(12, 0, 0, 1.0), None)
    assert lines["apgd"].differences == (None, None)
    assert lines[ALL].paired[1] == Paired(12, 0, 0, 1.0)


def test_attacks_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    one, two = run_of(tmp_path, [0]).rows[0], run_of(tmp_path, [0, 1]).rows[0]
    twice = replace(run_of(tmp_path, [0]), rows=(one, two))
    found = compare({"a": twice, "b": twice})
    assert [line.name for line in found.lines[1:3]] == ["pgd", "pgd, number 2"]
    assert found.lines[2].accuracies == (two.robust_accuracy, two.robust_accuracy)


def test_each_norm_has_a_panel(tmp_path: Path) -> None:
    runs = {"a": run_of(tmp_path, [0]), "b": run_of(tmp_path, [0, 1]), "c": run_of(tmp_path, [0], threat="l2:0.5")}
    picture = curves(compare(runs))
    assert picture.figure is not None
    assert [axes.get_xlabel() for axes in picture.figure.axes] == ["epsilon (linf)", "epsilon (l2)"]
    assert [len(axes.lines) for axes in picture.figure.axes] == [2, 1]
    assert "b under linf from 100.0 % to 83.3 % at 0.3" in picture.alt
    assert "c under l2 from 100.0 % to 91.7 % at 0.5" in picture.alt


def test_names_are_escaped(tmp_path: Path) -> None:
    bad = "<b>$x"
    text = render(compare({bad: run_of(tmp_path, [0]), "b": run_of(tmp_path, [1], name=bad)}))
    assert "<b>" not in text


def test_fewer_than_two_runs(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="name at least two"):
        compare({"a": run_of(tmp_path, [0])})


def stored(evaluation: Evaluation, path: Path) -> str:
    directory = RunDirectory(path)
    directory.save_row("0" * 16, evaluation.rows[0])
    directory.save(evaluation, ["0" * 16])
    return str(path)


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = stored(run_of(tmp_path, [0, 1, 2]), tmp_path / "one" / "run")
    two = stored(run_of(tmp_path, [2, 3]), tmp_path / "two" / "run")
    assert cli.run(["compare", one, two]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "one/run two/run" in text
    assert "1 fell in two/run alone and 2 in one/run alone" in text
    page = tmp_path / "pages" / "both.html"
    assert cli.run(["compare", one, two, "--json", "--html", str(page)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [run["name"] for run in document["runs"]] == ["one/run", "two/run"]
    assert document["same_samples"] is True
    (attack,) = (line for line in document["attacks"] if line["name"] == "pgd")
    assert attack["paired"][1] == {"samples": 12, "lost_here": 1, "lost_there": 2, "p": 1.0}
    assert "one/run against two/run" in page.read_text(encoding="utf-8")


def test_what_the_command_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = stored(run_of(tmp_path, [0]), tmp_path / "one")
    for arguments, told in (
        ([one], "name at least two run directories"),
        ([one, f"{one}/"], "named twice"),
        ([one, str(tmp_path / "none")], "holds no finished evaluation"),
    ):
        assert cli.run(["compare", *arguments]) == 2
        assert told in capsys.readouterr().err
    two = stored(run_of(tmp_path, [1]), tmp_path / "two")
    assert cli.run(["compare", one, two, "--html", f"{one}/evaluation.json/page.html"]) == 2
    assert "cannot be written" in capsys.readouterr().err
