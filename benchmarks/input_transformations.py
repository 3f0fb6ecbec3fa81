"""Draw docs/input-transformations-bars.png and print the table of its page, from the records of longer runs.

usage: python benchmarks/input_transformations.py [PRESET ... --images 30]

A record is that of `advplug break input-transformations --preset PRESET --limit IMAGES`, kept by `tools/results.py`.
With presets, it measures these without the suite, prints their table, and neither reads nor writes a record.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

from matplotlib.figure import Figure

from advplug.evaluation import Evaluation, case_job, evaluate
from advplug.records import Row
from advplug.report import ADAPTIVE, BASELINE, figure, quiet

ROOT = Path(__file__).resolve().parent.parent
CASE = "input-transformations"
SHOWN = "cifar10"


def records() -> list[Evaluation]:
    """The records of the case, sorted by preset."""
    paths = sorted((ROOT / "benchmarks" / "results").glob(f"{CASE}-*.json"))
    return [Evaluation.from_json(json.loads(path.read_text(encoding="utf-8"))) for path in paths]


def measured(preset: str, images: int) -> Evaluation:
    """The case on one preset, without the suite, which takes hours where a pass is slow."""
    job = case_job(CASE, preset=preset, limit=images)
    return evaluate(replace(job, recipes=tuple(recipe for recipe in job.recipes if recipe.name != "standard")))


def left(evaluation: Evaluation, column: str) -> float | None:
    """The least robust accuracy in percent under the attacks of that column, None where there are none."""
    return min((100 * row.robust_accuracy for row in evaluation.rows if column_of(row) == column), default=None)


def column_of(row: Row) -> str:
    """The role of the row's attack, or the suite, which is one of two intermediate attacks."""
    return "standard" if row.name == "standard" else row.role


def table(evaluations: list[Evaluation]) -> str:
    """One row for each preset, in percent."""
    head = (
        "| preset | images | clean | oblivious | standard | one draw | adaptive | network alone |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    rows = []
    for one in evaluations:
        shares = (left(one, role) for role in ("baseline", "standard", "intermediate", "adaptive", "control"))
        cells = " | ".join("" if share is None else f"{share:.1f}" for share in shares)
        rows.append(f"| `{one.preset}` | {one.samples} | {100 * one.clean_accuracy:.1f} | {cells} |")
    return "\n".join([head, *rows])


def bars(evaluations: list[Evaluation]) -> Figure:
    """What the oblivious and the adaptive attack leave, side by side for each transformation."""
    shown = [one for one in evaluations if (one.preset or "").startswith(SHOWN)][::-1]
    page = figure(0.8 + 0.4 * len(shown))
    axes = page.subplots()
    for offset, role, colour, label in (
        (0.2, "baseline", BASELINE, "oblivious"),
        (-0.2, "adaptive", ADAPTIVE, "adaptive"),
    ):
        lengths = [left(one, role) or 0.0 for one in shown]
        axes.barh([place + offset for place in range(len(shown))], lengths, height=0.36, color=colour, label=label)
    axes.set_yticks(range(len(shown)), [(one.preset or "").removeprefix(f"{SHOWN}-") for one in shown])
    axes.legend(frameon=False, fontsize=8)
    quiet(axes, x="robust accuracy in percent")
    return page


def main() -> None:
    """Print the table of the records and draw them, or measure what is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("presets", nargs="*", metavar="PRESET")
    parser.add_argument("--images", type=int, default=30)
    arguments = parser.parse_args()
    if arguments.presets:
        print(table([measured(preset, arguments.images) for preset in arguments.presets]))
    else:
        found = records()
        print(table(found))
        bars(found).savefig(ROOT / "docs" / f"{CASE}-bars.png", dpi=150)


if __name__ == "__main__":
    main()
