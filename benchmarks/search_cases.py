"""The search beside the adaptive attacks that people wrote, with each of those hidden from it, and on controls.

usage: python benchmarks/search_cases.py --out FILE [--samples 50] [--parts pgd,by-hand,search] [--table]
       [CASE:PRESET...]

Without names: every preset of every case that has weights and a budget, which a search needs, then the adversarially
trained networks, where the standard suite runs with restarts for want of anything made by hand. A run that was stopped
goes on where it was.
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
from typing import Any, NoReturn

import torch
from search_record import SAMPLES, Records, label, percent, said, searched

import advplug
from advplug import ThreatModel, load
from advplug.errors import InvalidInput, NoGradient
from advplug.evaluation import case_job, evaluate
from advplug.losses import Loss
from advplug.model import DefendedModel
from advplug.plugins.manager import default_manager
from advplug.spelling import loss_words

CASES = (
    "aat",
    "adp",
    "distillation",
    "ecoc",
    "empir",
    "feature-squeezing",
    "generative",
    "input-transformations",
    "kwta",
    "logit-pairing",
    "me-net",
    "mixup-inference",
    "mmc",
    "odds",
    "retraining-detector",
    "sparse-fourier",
    "temporal-dependency",
    "weakness-strength",
)
CONTROL = "adversarial-training"
STEPS, RESTARTS = 40, 5

NEAR = 0.02 + 1e-6
"""Two points, and what rounding adds."""

OWN_LOSSES = {
    "distillation": ("tempered-cross-entropy",),
    "ecoc": ("linear-readout",),
    "mmc": ("centre-distance", "tempered-cross-entropy"),
    "odds": ("logit-matching", "feature-matching", "lookalike"),
}
"""Losses that came with a case and are hidden with it; the other cases have margin and cross-entropy alone."""

OWN_ATTACKS = {"weakness-strength": "advplug-attack-interpolation"}
"""Packages of attacks that no other case uses; they stay, unless ``search-without-attack`` hides them too."""


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
    """Those of all cases and controls that have weights and a budget; digits first, which are quick."""
    found = [
        f"{case}:{preset}"
        for case in (*CASES, CONTROL)
        for preset, configuration in load(f"defense:{case}")().presets.items()
        if configuration.weights is not None and configuration.threat.epsilon is not None
    ]
    return sorted(found, key=lambda name: "cifar10" in name)


def print_tables(records: Records) -> None:
    """Leave one out, then the controls, then what the first table says in one line."""
    for cases, head in ((CASES, "by hand"), ((CONTROL,), f"standard, {RESTARTS} restarts")):
        print(f"\n| preset | clean | PGD | standard | {head} | search | of the other half | time / standard | found |")
        print("|---|---|---|---|---|---|---|---|---|")
        for name in records.names:
            if name.partition(":")[0] in cases:
                line = records.of(name)
                keys = ("clean", "pgd", "standard", "by_hand", "search", "other_half")
                times = f"{line['times']:.1f}" if "times" in line else "-"
                print(f"| {' | '.join([label(line), *(percent(line.get(key)) for key in keys), times, said(line)])} |")
    print(f"\n{agreement(records)}")


def agreement(records: Records) -> str:
    """On how many presets the search leaves at most two points more than the attack by hand, and which not."""
    lines = [line for line in map(records.of, records.names) if "search" in line and line.get("by_hand") is not None]
    lines = [line for line in lines if line["name"].partition(":")[0] in CASES]
    beyond = [line["name"] for line in lines if line["search"] > line["by_hand"] + NEAR]
    above = [line["name"] for line in lines if line["search"] > line["standard"]]
    count = len(lines) - len(beyond)
    return (
        f"within 2 points of the attack by hand: {count} of {len(lines)} ({percent(count / max(len(lines), 1))} %)"
        f"{', not ' * bool(beyond)}{', '.join(beyond)}; above standard: {', '.join(above) or 'none'}"
    )


def measured(name: str, part: str, samples: int) -> Mapping[str, Any]:
    """What a part gives, with the number of samples."""
    return {**MEASURES[part](name, samples), "samples": samples}


def by_hand(name: str, samples: int) -> Mapping[str, Any]:
    """What the strongest attack of the case leaves, at its full settings; or many restarts.

    Those that lead up to the adaptive attack count as well, because one of them may be the strongest on a model that
    hides nothing. Left out are the suite, and the attacks of the defense's authors, which none of the others is weaker
    than.
    """
    case, _, preset = name.partition(":")
    if case == CONTROL:
        (row,) = advplug.evaluate(*arguments_of(name, samples), "standard", restarts=RESTARTS, progress=False).rows
        return {"by_hand": row.robust_accuracy, "recipe": f"standard, {RESTARTS} restarts", "hand_seconds": row.seconds}
    job = case_job(case, preset=preset, limit=samples)
    ours = [recipe for recipe in job.recipes if recipe.role in ("intermediate", "adaptive")]
    recipes = tuple(recipe for recipe in ours if recipe.name != "standard")
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
    """What the search leaves, in a process that has no adaptive plugin of the case and none of its losses."""
    with hidden(f"advplug-adaptive-{name.partition(':')[0]}"):
        pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        with pool:
            return pool.submit(search_without, name, samples).result()


def search_without_attack(name: str, samples: int) -> Mapping[str, Any]:
    """The same without the attack that came with the case; nothing where it has none."""
    package = OWN_ATTACKS.get(name.partition(":")[0])
    if package is None:
        return {}
    with hidden(package):
        return {"without_attack": search(name, samples)}


def search_without(name: str, samples: int) -> Mapping[str, Any]:
    """The search itself.

    Raises
    ------
    RuntimeError: the case or one of its losses is not hidden.
    """
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    case = name.partition(":")[0]
    if any(spec.name == case for spec in default_manager().specs("adaptive")):
        raise RuntimeError(f"the adaptive attack of {case} is not hidden")
    words = OWN_LOSSES.get(case, ())
    for word in words:
        hide(loss_words()[word])
    found = advplug.search(*arguments_of(name, samples), progress=False)
    used = [word for word in words if any(word in str(trial.sentence) for trial in found.trials)]
    if used:
        raise RuntimeError(f"the search of {name} used what is hidden: {', '.join(used)}")
    return searched(found)


def hide(kind: type[Loss]) -> None:
    """Make a loss one that cannot be asked, which a search leaves out; for the whole process."""

    def refused(loss: Loss, *given: object) -> NoReturn:
        raise InvalidInput(f"{loss} is hidden")

    for method in ("__call__", "among"):  # the second binds the references of those that find their own
        if hasattr(kind, method):
            setattr(kind, method, refused)


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
    "search-without-attack": search_without_attack,
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
