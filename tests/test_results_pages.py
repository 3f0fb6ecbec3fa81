"""docs/results.md and docs/gallery.md say what the records of the longer runs say, and leave no case out."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from advplug import load
from advplug.errors import InvalidInput
from advplug.evaluation import Evaluation
from advplug.plugins.manager import default_manager
from advplug.records.evaluation import SCHEMA_VERSION

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import missing_rows  # noqa: E402
import results  # noqa: E402

PLAIN = ("mnist", "cifar10", "digits")
RECORDS = sorted(results.RECORDS.glob("*.json"))


def test_the_pages_are_what_the_records_give() -> None:
    evaluations = results.records()
    assert results.RESULTS.read_text(encoding="utf-8") == results.results(evaluations)
    assert results.GALLERY.read_text(encoding="utf-8") == results.gallery(evaluations)


def test_every_case_has_a_longer_run_on_digits_and_on_colour_images_or_on_speech() -> None:
    """As far as it ships weights for them, which it does for digits, written or spoken."""
    names = {(one.case, one.preset) for one in results.records()}
    for spec in default_manager().specs("adaptive"):
        presets = load(f"defense:{spec.breaks}")().presets
        ships = {name for name in PLAIN if name in presets and presets[name].weights is not None}
        assert ships & {"mnist", "digits"}, spec.name
        assert names >= {(spec.name, name) for name in ships}


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_record_reads_back_as_it_was(path: Path) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    evaluation = Evaluation.from_json(document)
    assert json.loads(json.dumps(evaluation.to_json())) == as_written_today(document)
    assert path.stem == f"{evaluation.case}-{evaluation.preset}"
    assert evaluation.run_dir is None


def as_written_today(document: dict[str, Any]) -> dict[str, Any]:
    """A record of schema version 1, whose names have changed and grown since; every figure as it stands there."""
    names = {"flips": "clean_error_rate", "run": "run_dir", "words": "components"}

    def renamed(part: dict[str, Any]) -> dict[str, Any]:
        return {names.get(name, name): value for name, value in part.items()}

    since: dict[str, Any] = {"left_out": [], "more_steps": [0, 0], "lost": 0, "randomised": {}, "rejection": {}}
    since["queries_at"] = []
    rows = [since | renamed(row) for row in document["rows"]]
    grown: dict[str, Any] = {"id": "", "figure": None, "threshold": None, "samples": []}
    findings = [grown | finding for finding in document["findings"]]
    return {**renamed(document), "rows": rows, "findings": findings, "schema_version": SCHEMA_VERSION}


def test_a_record_is_measured_again_on_more_images_without_rows_that_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    record = next(one for one in results.records() if (one.case, one.preset) == ("input-transformations", "mnist-tv"))
    jobs = []
    monkeypatch.setattr(missing_rows, "evaluate", jobs.append)
    missing_rows.again(record, 12)
    (job,) = jobs
    assert len(job.images) == 12
    assert [recipe.name for recipe in job.recipes] == [row.name for row in record.rows]
    assert "standard" not in {recipe.name for recipe in job.recipes}


def test_a_record_of_another_version_is_refused() -> None:
    document = json.loads(RECORDS[0].read_text(encoding="utf-8"))
    with pytest.raises(InvalidInput, match="schema version"):
        Evaluation.from_json({**document, "schema_version": 0})


def test_a_changed_figure_changes_both_pages() -> None:
    first, *rest = results.records()
    rows = tuple(replace(row, robust_accuracy=0.123) for row in first.rows)
    changed = [replace(first, rows=rows), *rest]
    assert "12.3 %" in results.results(changed)
    assert results.gallery(changed) != results.gallery([first, *rest])
