"""How much nearer FAB comes after its first steps, on many networks: whether a far sample may be given up.

python benchmarks/fab_patience.py [--only GROUP] [--limit 20] [--skip 260] [--seed 0] [--of NAME] [--out FILE]

FAB goes for each of the nine likeliest other classes, without a budget. Its steps know no budget, so what it has found
after each step is what it would have found within any. Suppose that it gave up each search whose nearest point after a
look is more than p budgets away. Then it would lose a sample within some budget if the search that ends nearest came
nearer by more than a factor of p after the look.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import torch
from patience import DATA, recorded

from advplug import Images, ThreatModel, load
from advplug.attack import Options
from advplug.engine.problem import make_problem
from advplug.engine.stages import run_attack
from advplug.errors import AdvplugError
from advplug.tracking import Step

STEPS, TARGETS = 100, 9
LOOKS = (10, 20, 30, 50)
PATIENCE = (1.5, 2.0, 3.0, 4.0)


class Nearest:
    """Hears of a run with all targets of a sample in one batch, which no row leaves before the end.

    ``best`` (samples, targets, looks + 1): the least distance of each search at each look, and at last.
    """

    def __init__(self, samples: int) -> None:
        self.heard = [0] * samples
        self.best = torch.full((samples, TARGETS, len(LOOKS) + 1), math.inf, dtype=torch.float64)

    def __call__(self, step: Step) -> None:
        samples = step.samples.unique()
        heard, several = self.heard[int(samples[0])], len(step.samples) // len(samples)
        for sample in samples.tolist():
            self.heard[sample] += 1
        now = torch.where(step.success, step.distance, math.inf).view(len(samples), several)
        for number, look in enumerate((*LOOKS, STEPS + 1)):
            if heard < 2 * look:  # a step is heard of twice
                best = self.best[samples, :several, number]
                self.best[samples, :several, number] = torch.minimum(best, now)


@click.command()
@click.option("--only", type=click.Choice([*DATA, "strange"]), help="One group of networks.")
@click.option("--limit", default=20, show_default=True, help="Images of each network.")
@click.option("--skip", default=260, show_default=True, help="Leave out the first images.")
@click.option("--seed", default=0, show_default=True)
@click.option("--of", "start", default="", help="Print the networks alone whose names begin with this.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Write each network there, and go on there."
)
def main(*, only: str | None, limit: int, skip: int, seed: int, start: str, out: Path | None) -> None:
    """Measure, and print one table, and the networks on which a search came nearer by most."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    measure = lambda model, images, threat: _searches(model, images, threat, seed)  # noqa: E731
    lines = recorded(out, (only,) if only else (*DATA, "strange"), slice(skip, skip + limit), measure)
    _print([line for line in lines if line["name"].startswith(start)])


def _searches(model: Any, images: Images, threat: ThreatModel, seed: int) -> list[dict[str, Any]]:
    """Of each sample its budget, and what each search had found at the looks and at last, those that found anything."""
    nearest = Nearest(len(images.labels))
    options = Options(seed=seed, targets_at_once=TARGETS, listen=nearest)
    minimum = replace(threat, epsilon=None)
    problem = make_problem(model, images.inputs, images.labels, minimum, num_targets=TARGETS, options=options)
    if problem.model.stochastic:
        return []  # it has no FAB in the suite
    try:
        found = run_attack(load("attack:fab")(steps=STEPS, bisections=0), problem)
    except AdvplugError:  # no gradient
        return []
    rows = []
    for number in found.correct.nonzero().squeeze(1).tolist():
        searches = [search for search in nearest.best[number].tolist() if search[-1] < math.inf]
        rows.append({"budget": threat.epsilon, "searches": searches})
    return rows


def _print(lines: list[dict[str, Any]]) -> None:
    samples = [(line["name"], sample["budget"], sample["searches"]) for line in lines for sample in line["samples"]]
    samples = [(name, budget, searches) for name, budget, searches in samples if searches]
    print(f"{len({name for name, *_ in samples})} networks, {len(samples)} samples\n")
    print("| step | patience | lost within some budget | steps saved on survivors |\n|---|---|---|---|")
    for number, look in enumerate(LOOKS):
        for patience in PATIENCE:
            lost = sum(patience < _nearer(searches, number) < math.inf for *_, searches in samples)
            print(f"| {look} | {patience:g} | {lost} | {_saved(samples, number, patience):.0%} |")
    for number, look in enumerate(LOOKS):
        nearer = sorted(((_nearer(searches, number), name) for name, _, searches in samples), reverse=True)
        none = sum(factor == math.inf for factor, _ in nearer)
        most = ", ".join(f"{factor:.2f} {name}" for factor, name in nearer[none : none + 3])
        print(f"after {look} steps nothing yet: {none} samples; most: {most}")


def _nearer(searches: list[list[float]], number: int) -> float:
    """By which factor the search that ends nearest came nearer after a look; infinite if it had found nothing."""
    last = min(searches, key=lambda search: search[-1])
    return last[number] / last[-1]


def _saved(samples: list[tuple[str, float | None, list[list[float]]]], number: int, patience: float) -> float:
    """Share of the steps of FAB that are saved on samples that no search breaks within the budget of their network."""
    survivors = [
        (budget, searches) for _, budget, searches in samples if budget and min(s[-1] for s in searches) > budget
    ]
    far = sum(patience * budget < search[number] < math.inf for budget, searches in survivors for search in searches)
    return far * (STEPS - LOOKS[number]) / max(len(survivors) * TARGETS * STEPS, 1)


if __name__ == "__main__":
    main()
