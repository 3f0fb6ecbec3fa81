"""The search beside the adaptive attacks that people wrote, with each of those hidden from it, and on controls.

usage: python benchmarks/search_cases.py --out FILE [--samples 50] [--parts pgd,by-hand,search] [--table]
       [CASE:PRESET...]

Without names: every preset with weights of every case, then the adversarially trained networks, where the standard
suite runs with restarts for want of anything made by hand. A run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from search_record import SAMPLES, Records, label, percent, said, searched

import advplug
from advplug import ThreatModel, load
from advplug.errors import NoGradient
from advplug.evaluation import case_job, evaluate
from advplug.model import DefendedModel
from advplug.plugins.manager import default_manager

CASES = ("ecoc", "kwta", "logit-pairing", "mixup-inference", "mmc", "odds", "weakness-strength")
CONTROL = "adversarial-training"
STEPS, RESTARTS = 40, 5


def main() -> None:
    """Measure what FILE does not hold yet, and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="CASE:PRESET")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--parts", default="pgd,by-hand,search")
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    records = Records(arguments.out)
    parts = () if arguments.table else tuple(arguments.parts.split(","))
    for name in arguments.names or presets():
        for part in parts:
            if not records.has(name, part):
                records.add(name, part, lambda: measured(name, part, arguments.samples))  # noqa: B023
                print(f"{name}, {part}: {records.lines[-1]}", flush=True)
    print_tables(records)


def presets() -> list[str]:
    """Those of all cases and controls that have weights; digits first, which are quick."""
    found = [
        f"{case}:{preset}"
        for case in (*CASES, CONTROL)
        for preset, configuration in load(f"defense:{case}")().presets.items()
        if configuration.weights is not None
    ]
    return sorted(found, key=lambda name: "cifar10" in name)


def print_tables(records: Records) -> None:
    """Leave one out, then the controls."""
    for cases, head in ((CASES, "by hand"), ((CONTROL,), f"standard, {RESTARTS} restarts")):
        print(f"\n| preset | clean | PGD | standard | {head} | search | of the other half | time / standard | found |")
        print("|---|---|---|---|---|---|---|---|---|")
        for name in records.names:
            if name.partition(":")[0] in cases:
                line = records.of(name)
                keys = ("clean", "pgd", "standard", "by_hand", "search", "other_half")
                times = f"{line['times']:.1f}" if "times" in line else "-"
                print(f"| {' | '.join([label(line), *(percent(line.get(key)) for key in keys), times, said(line)])} |")


def measured(name: str, part: str, samples: int) -> Mapping[str, Any]:
    """What a part gives, with the number of samples."""
    return {**MEASURES[part](name, samples), "samples": samples}


def by_hand(name: str, samples: int) -> Mapping[str, Any]:
    """What the strongest attack of the case leaves, at its full settings; or many restarts.

    Those that lead up to the adaptive attack count as well, because one of them may be the strongest on a model that
    hides nothing. Left out are the attacks of the defense's authors, which none of the others is weaker than.
    """
    case, _, preset = name.partition(":")
    if case == CONTROL:
        (row,) = advplug.evaluate(*arguments_of(name, samples), "standard", restarts=RESTARTS, progress=False).rows
        return {"by_hand": row.robust_accuracy, "recipe": f"standard, {RESTARTS} restarts", "hand_seconds": row.seconds}
    job = case_job(case, preset=preset, limit=samples)
    recipes = tuple(recipe for recipe in job.recipes if recipe.role in ("intermediate", "adaptive"))
    best = min(evaluate(replace(job, recipes=recipes)).rows, key=lambda row: row.robust_accuracy)
    return {"by_hand": best.robust_accuracy, "recipe": best.name, "hand_seconds": best.seconds}


def pgd(name: str, samples: int) -> Mapping[str, Any]:
    """Accuracy after PGD with its own loss; None where it does not run for want of gradients."""
    left: float | None = None
    with suppress(NoGradient):
        given = arguments_of(name, samples)
        left = advplug.evaluate(*given, ("pgd", {"steps": STEPS}), progress=False).rows[0].robust_accuracy
    return {"pgd": left}


def search(name: str, samples: int) -> Mapping[str, Any]:
    """What the search leaves, in a process that has no adaptive plugin of the case."""
    with hidden(f"advplug-adaptive-{name.partition(':')[0]}"):
        pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        with pool:
            return pool.submit(search_without, name, samples).result()


def search_without(name: str, samples: int) -> Mapping[str, Any]:
    """The search itself.

    Raises
    ------
    RuntimeError: the case is not hidden.
    """
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    case = name.partition(":")[0]
    if any(spec.name == case for spec in default_manager().specs("adaptive")):
        raise RuntimeError(f"the adaptive attack of {case} is not hidden")
    return searched(advplug.search(*arguments_of(name, samples), progress=False))


@contextmanager
def hidden(package: str) -> Iterator[None]:
    """Processes that start meanwhile do not import ``package``."""
    before = os.environ.get("ADVPLUG_DISABLE")
    os.environ["ADVPLUG_DISABLE"] = ",".join(filter(None, (before, package)))
    try:
        yield
    finally:
        del os.environ["ADVPLUG_DISABLE"]
        if before is not None:
            os.environ["ADVPLUG_DISABLE"] = before


MEASURES: dict[str, Callable[[str, int], Mapping[str, Any]]] = {
    "by-hand": by_hand,
    "pgd": pgd,
    "search": search,
}


def arguments_of(name: str, samples: int) -> tuple[DefendedModel, advplug.Images, ThreatModel]:
    """Model, data and threat model of a preset."""
    defense, _, preset = name.partition(":")
    plugin = load(f"defense:{defense}")()
    configuration = plugin.preset(preset)
    images = load(f"data:{configuration.data}")().load(configuration.test_split, samples)
    return plugin.build(preset), images, configuration.threat


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    main()
