"""Run what a case has and its records of longer runs lack, so that a new recipe does not need all others again.

usage: python tools/missing_rows.py [CASE-PRESET ...]

The seed and the images are those of the record, and no row depends on another one. Then write the pages with
tools/results.py. Without names: every record in benchmarks/results.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

from advplug.adaptive import Recipe
from advplug.evaluation import Evaluation, case_job, evaluate

RECORDS = Path(__file__).resolve().parent.parent / "benchmarks" / "results"

DRAWN = 0.01
"""By how much the clean accuracy of a random model may differ, whose draws are not those of another version."""


def completed(record: Evaluation) -> Evaluation:
    """The record with a row for every recipe that its case has today.

    Raises
    ------
    ValueError: the images or the model are not those of the record.
    """
    job = case_job(record.case, preset=record.preset or "", limit=record.samples)
    known = {(row.name, row.library): row for row in record.rows}
    missing = tuple(recipe for recipe in job.recipes if _name(recipe) not in known)
    if not missing:
        return record
    found = evaluate(replace(job, recipes=missing))
    if abs(found.clean_accuracy - record.clean_accuracy) > (DRAWN if job.model.stochastic else 0):
        raise ValueError(f"{record.case}, {record.preset}: {found.clean_accuracy} clean, not {record.clean_accuracy}")
    known |= {(row.name, row.library): row for row in found.rows}
    return replace(record, rows=tuple(known[_name(recipe)] for recipe in job.recipes))


def _name(recipe: Recipe) -> tuple[str, str]:
    return recipe.name, recipe.library


def main(names: list[str]) -> None:
    """Complete the records, each written as soon as it is complete."""
    for path in sorted(RECORDS.glob("*.json")):
        if names and path.stem not in names:
            continue
        record = Evaluation.from_json(json.loads(path.read_text(encoding="utf-8")))
        whole = replace(completed(record), run_dir=None)
        if whole.rows != record.rows:
            path.write_text(json.dumps(whole.to_json(), indent=1) + "\n", encoding="utf-8")
            print(f"{path.stem}: {len(whole.rows) - len(record.rows)} rows more", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
