"""Precision and recall of the diagnostics, as the table of docs/diagnostics.md.

usage: python benchmarks/diagnostics.py [--samples 48] [--diagnose quick|full] [NAME...]

Each model of strange_nets.py is attacked as most are: PGD on cross-entropy, and Square with few queries. A warning is
right if the model must get it. A warning of G7, G8, G11 or G14 names points that the attacks missed and proves itself:
it counts as neither right nor wrong where it is not demanded.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections import Counter
from dataclasses import replace

import torch
from strange_nets import CASES, Strange

from advplug import load
from advplug.adaptive import Recipe
from advplug.evaluation import Evaluation, evaluate, model_job
from advplug.threat import ThreatModel

PROOFS = frozenset({"G7", "G8", "G11", "G14"})
EPSILON, STEPS, QUERIES = 0.15, 40, 200


def main() -> None:
    """Print a line for each model, then one for each diagnostic."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--samples", type=int, default=48)
    parser.add_argument("--diagnose", choices=["quick", "full"], default="quick")
    arguments = parser.parse_args()
    counts = {False: Counter[str](), True: Counter[str]()}
    print("| model | PGD | Square | must warn | warns | seconds |\n|---|---|---|---|---|---|")
    for name in arguments.names or CASES:
        case = CASES[name]
        start = time.perf_counter()
        diagnose = case.settings.get("diagnose", arguments.diagnose)  # some look only if they are asked to
        evaluation = evaluated(name, case, arguments.samples, diagnose)
        warns = {finding.id for finding in evaluation.findings if finding.status in ("warn", "fail")}
        left = {row.name: f"{row.robust_accuracy:.0%}" for row in evaluation.rows}
        counts[case.held_out] += count(case, warns)
        print(
            f"| {name} | {left.get('pgd', '-')} | {left.get('square', '-')} | {listed(case.must)} | {listed(warns)} "
            f"| {time.perf_counter() - start:.0f} |",
            flush=True,
        )
    for held_out, heading in ((False, "rules were set on these"), (True, "held out")):
        print(f"\n| {heading} | right | wrong | missed | precision | recall |\n|---|---|---|---|---|---|")
        for number in sorted({key[1:] for key in counts[held_out]}, key=lambda one: int(one[1:])):
            print(line(number, *(counts[held_out][f"{kind}{number}"] for kind in "+-o")))
        totals = (sum(v for k, v in counts[held_out].items() if k[0] == kind) for kind in "+-o")
        print(line("all", *totals))


def evaluated(name: str, case: Strange, samples: int, diagnose: str) -> Evaluation:
    """The evaluation of one model."""
    torch.manual_seed(0)
    images = load("data:mnist")().load("shipped", limit=samples)
    threat = ThreatModel("linf", case.settings.get("epsilon", EPSILON))
    steps = {name: value for name, value in case.settings.items() if name not in ("epsilon", "diagnose")}
    recipes = [
        Recipe(name="pgd", attack=load("attack:pgd")(**{"steps": STEPS, **steps}), role="baseline"),
        Recipe(name="square", attack=load("attack:square")(queries=QUERIES), role="baseline"),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        job = model_job(name, case.build().eval(), images, threat, recipes)
        return evaluate(replace(job, diagnose=diagnose))


def count(case: Strange, warns: set[str]) -> Counter[str]:
    """Right (+), wrong (-) and missed (o) warnings by diagnostic."""
    right, missed = warns & case.must, case.must - warns
    # Of a control every warning is wrong, also one that proves itself.
    wrong = warns - case.must - (PROOFS if case.must else frozenset())
    return Counter([*(f"+{one}" for one in right), *(f"-{one}" for one in wrong), *(f"o{one}" for one in missed)])


def listed(numbers: set[str] | frozenset[str]) -> str:
    """Numbers in order."""
    return ", ".join(sorted(numbers, key=lambda one: int(one[1:]) if one else 0)) or "-"


def line(name: str, right: int, wrong: int, missed: int) -> str:
    """One line of the second table."""
    precision = f"{right / (right + wrong):.2f}" if right + wrong else "-"
    recall = f"{right / (right + missed):.2f}" if right + missed else "-"
    return f"| {name} | {right} | {wrong} | {missed} | {precision} | {recall} |"


if __name__ == "__main__":
    main()
