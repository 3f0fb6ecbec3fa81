"""Run what a case has and its records of longer runs lack, so that a new recipe does not need all others again.

usage: python tools/missing_rows.py [--images N] [CASE-PRESET ...]

The seed and the images are those of the record, and no row depends on another one. Then write the pages with
tools/results.py. Without names: every record in benchmarks/results. With --images, run the rows of the record again on
N images, without those that it lacks, and replace it.
"""

from __future__ import annotations

import argparse
import json
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


def again(record: Evaluation, images: int) -> Evaluation:
    """The rows of the record, on so many images."""
    job = case_job(record.case, preset=record.preset or "", limit=images)
    known = {(row.name, row.library) for row in record.rows}
    return evaluate(replace(job, recipes=tuple(recipe for recipe in job.recipes if _name(recipe) in known)))


def _name(recipe: Recipe) -> tuple[str, str]:
    return recipe.name, recipe.library


def main() -> None:
    """Complete the records, each written as soon as it is complete."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="CASE-PRESET")
    parser.add_argument("--images", type=int)
    arguments = parser.parse_args()
    names, images = arguments.names, arguments.images
    for path in sorted(RECORDS.glob("*.json")):
        if names and path.stem not in names:
            continue
        record = Evaluation.from_json(json.loads(path.read_text(encoding="utf-8")))
        whole = replace(completed(record) if images is None else again(record, images), run_dir=None)
        if whole.rows != record.rows:
            path.write_text(json.dumps(whole.to_json(), indent=1) + "\n", encoding="utf-8")
            print(f"{path.stem}: {len(whole.rows)} rows of {whole.samples} images", flush=True)


if __name__ == "__main__":
    main()
