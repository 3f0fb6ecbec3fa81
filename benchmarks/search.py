"""What the search for an adaptive attack leaves of models that hide how weak they are: docs/search-results.md.

usage: python benchmarks/search.py --out FILE [--samples 50] [--parts pgd,search] [--table] [NAME...]

A run that was stopped goes on where it was. ``--table`` prints what FILE holds and measures nothing. Further parts are
the search with one switch changed: random, untraced, whole (without halving); print_ablation makes a table of them.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from search_record import SAMPLES, Records, halved, label, percent, searched, table
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
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--parts", default="pgd,search")
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    records = Records(arguments.out)
    parts = () if arguments.table else tuple(arguments.parts.split(","))
    for name in arguments.names or MODELS:
        for part in parts:
            if not records.has(name, part):
                records.add(name, part, lambda: measured(name, part, arguments.samples))  # noqa: B023
                print(f"{name}, {part}: {records.lines[-1]}", flush=True)
    print_tables(records)
    print_ablation(records)


def measured(name: str, part: str, samples: int) -> Mapping[str, Any]:
    """What a part gives, with the number of samples."""
    return {**MEASURES[part](MODELS[name], samples), "samples": samples}


def print_ablation(records: Records) -> None:
    """What each search leaves of the models on which all of them ran, with its time as a multiple of the suite's."""
    keys = [f"{name}={value}" for switches in ABLATIONS.values() for name, value in switches.items()]
    lines = [line for line in map(records.of, records.names) if all(key in line for key in keys)]
    print(f"\n| model | standard | search | {' | '.join(keys)} |\n|---|---|---|{'---|' * len(keys)}")
    for line in lines:
        cells = [f"{percent(one['search'])} ({one['times']:.1f})" for one in (line, *(line[key] for key in keys))]
        print(f"| {label(line)} | {percent(line['standard'])} | {' | '.join(cells)} |")


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


def pgd(case: Strange, samples: int) -> Mapping[str, Any]:
    """Accuracy after PGD with its own loss; None where it does not run for want of gradients."""
    given = arguments_of(case, samples)
    left: float | None = None
    with suppress(NoGradient):
        left = advplug.evaluate(*given, ("pgd", {"steps": STEPS}), progress=False).rows[0].robust_accuracy
    return {"pgd": left}


def search(case: Strange, samples: int) -> Mapping[str, Any]:
    """What the standard suite leaves, and the search after it."""
    return searched(advplug.search(*arguments_of(case, samples), progress=False))


def changed(**switches: Any) -> Callable[[Strange, int], Mapping[str, Any]]:
    """What the search leaves with some switches changed."""

    def left(case: Strange, samples: int) -> Mapping[str, Any]:
        found = searched(advplug.search(*arguments_of(case, samples), progress=False, **switches))
        (name,) = switches
        return {f"{name}={switches[name]}": found}

    return left


ABLATIONS: dict[str, dict[str, Any]] = {
    "random": {"sampler": "random"},
    "untraced": {"traced": False},
    "whole": {"halving": False},
}
MEASURES = {
    "pgd": pgd,
    "search": search,
    **{part: changed(**switches) for part, switches in ABLATIONS.items()},
}


def arguments_of(case: Strange, samples: int) -> tuple[torch.nn.Module, advplug.Images, ThreatModel]:
    """Model, digits and budget."""
    torch.manual_seed(0)
    threat = ThreatModel("linf", case.settings.get("epsilon", EPSILON))
    return case.build().eval(), load("data:mnist")().load("shipped", samples), threat


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    main()
