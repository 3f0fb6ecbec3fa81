"""The binarisation test of every attack of the shipped cases, as the table of docs/diagnostics.md.

usage: python benchmarks/binarisation.py [--samples 32] [--inner 999] [--roles baseline,adaptive] [CASE...]
"""

from __future__ import annotations

import argparse
import time

from search_cases import CASES

from advplug.errors import AdvplugError
from advplug.evaluation import case_job
from advplug.evaluation.diagnostics.binarisation import binarisation
from advplug.evaluation.problems import problem_of


def main() -> None:
    """Print one line for each attack as it is done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", default=CASES)
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--inner", type=int, default=999)
    parser.add_argument("--roles", default="baseline,adaptive", help="with commas between")
    arguments = parser.parse_args()
    print("| case | role | attack | success | random | tested | reads | loss replaced | seconds |")
    print("|---|---|---|---|---|---|---|---|---|")
    for case in arguments.cases or CASES:
        job = case_job(case, limit=arguments.samples)
        for recipe in job.recipes:
            if recipe.on is not None or recipe.role not in arguments.roles.split(","):
                continue
            start = time.perf_counter()
            head = f"| {case} | {recipe.role} | {recipe.name} ({recipe.library})"
            try:
                found = binarisation(
                    recipe, problem_of(job, recipe), samples=arguments.samples, inner=arguments.inner, seed=job.seed
                )
            except AdvplugError as error:
                print(f"{head} | not run: {error} | | | | | |", flush=True)
                continue
            seconds = time.perf_counter() - start
            print(
                f"{head} | {found.success_rate:.2f} | {found.random_success_rate:.2f} | {found.tested} | {found.reads} "
                f"| {found.replaced} | {seconds:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
