"""What the search for an adaptive attack leaves of models that hide how weak they are: docs/search-results.md.

usage: python benchmarks/search.py --out FILE [--samples 50] [--parts baselines,search] [--table] [NAME...]

A run that was stopped goes on where it was. ``--table`` prints what FILE holds and measures nothing.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from search_record import Records, halved, searched, table
from strange_defenses import DEFENSES
from strange_held_out import HELD_OUT
from strange_nets import CASES, Strange

import advplug
from advplug import ThreatModel, load
from advplug.errors import NoGradient

EPSILON, STEPS = 0.2, 40

# These two are evaluated wrongly: the model in them is the plain network.
NO_MODELS = ("five short steps", "any input allowed")
MODELS: dict[str, Strange] = {
    name: case for name, case in {**CASES, **DEFENSES, **HELD_OUT}.items() if name not in NO_MODELS
}


def main() -> None:
    """Measure what FILE does not hold yet, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=50)
    parser.add_argument("--parts", default="baselines,search")
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    records = Records(arguments.out)
    parts = () if arguments.table else tuple(arguments.parts.split(","))
    for name in arguments.names or MODELS:
        for part in parts:
            if not records.has(name, part):
                records.add(name, part, lambda: MEASURES[part](MODELS[name], arguments.samples))  # noqa: B023
                print(f"{name}, {part}: {records.lines[-1]}", flush=True)
    print_tables(records)


def print_tables(records: Records) -> None:
    """One table for the models that the search was tuned on, one for the others, and the rule on both."""
    known = [name for name in MODELS if name in records.names]
    groups = {
        "tuned on": [name for name in known if not MODELS[name].held_out],
        "held out": [name for name in known if MODELS[name].held_out],
    }
    for heading, names in groups.items():
        print(f"\n{heading}\n\n{table(records, names)}")
    print("\n| below half of the clean accuracy | PGD | standard | search |\n|---|---|---|---|")
    for heading, names in groups.items():
        weak = [name for name in names if "control" not in name]
        print(f"| {heading} | {halved(records, weak)} |")


def baselines(case: Strange, samples: int) -> Mapping[str, Any]:
    """Accuracy without an attack, after PGD with its own loss, and after the standard suite."""
    given = arguments_of(case, samples)
    suite = advplug.evaluate(*given, "standard", progress=False)
    pgd: float | None = None
    with suppress(NoGradient):  # no number: PGD does not run on it
        pgd = advplug.evaluate(*given, ("pgd", {"steps": STEPS}), progress=False).rows[0].robust_accuracy
    (row,) = suite.rows
    return {
        "clean": suite.clean_accuracy,
        "pgd": pgd,
        "standard": row.robust_accuracy,
        "left_out": row.left_out,
        "standard_seconds": row.seconds,
    }


def search(case: Strange, samples: int) -> Mapping[str, Any]:
    """What the search leaves and found."""
    return searched(advplug.search(*arguments_of(case, samples)))


MEASURES = {"baselines": baselines, "search": search}


def arguments_of(case: Strange, samples: int) -> tuple[torch.nn.Module, advplug.Images, ThreatModel]:
    """Model, digits and budget."""
    torch.manual_seed(0)
    threat = ThreatModel("linf", case.settings.get("epsilon", EPSILON))
    return case.build().eval(), load("data:mnist")().load("shipped", samples), threat


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    main()
