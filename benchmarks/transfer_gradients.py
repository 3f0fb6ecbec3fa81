"""How many adversarials of one network fool another, by the gradient that found them.

python benchmarks/transfer_gradients.py [--limit 200] [--epsilon 0.2]

PGD of 20 steps from the input attacks the first network of a pair; the second judges what comes out. Every row but the
first has momentum 1. Digits count that the second network gets right.
"""

from __future__ import annotations

from typing import Any

import click
import torch
from advplug_gradient_transfer import DiverseInputs, ScaleInvariant, TranslationInvariant

from advplug import ThreatModel, load, run
from advplug.gradients import GradientEstimator, Smoothed

PAIRS = (("mnist", "mnist-l2"), ("mnist-l2", "mnist"), ("mnist", "mnist-linf"))
MOMENTUM = {"momentum": 1.0}


def rows(epsilon: float) -> dict[str, tuple[GradientEstimator | None, dict[str, Any]]]:
    """Gradient and settings of PGD by the title of a row."""
    diverse = DiverseInputs(probability=1.0, smallest=0.7)
    return {
        "PGD": (None, {}),
        "momentum": (None, MOMENTUM),
        "momentum, Nesterov's step": (None, {**MOMENTUM, "nesterov": True}),
        "`diverse-inputs`": (diverse, MOMENTUM),
        "`translation-invariant`": (TranslationInvariant(), MOMENTUM),
        "`scale-invariant`": (ScaleInvariant(), MOMENTUM),
        "`translation-invariant of diverse-inputs`": (TranslationInvariant(of=diverse), MOMENTUM),
        "`smoothed`, 5 draws": (Smoothed(sigma=epsilon / 2, draws=5), MOMENTUM),
    }


@click.command()
@click.option("--limit", default=200, show_default=True, help="Digits.")
@click.option("--epsilon", default=0.2, show_default=True, help="Budget under linf.")
def main(*, limit: int, epsilon: float) -> None:
    """Print a table in Markdown, in % of the digits."""
    torch.set_num_threads(1)
    digits = load("data:mnist")().load("shipped", limit=limit)
    pgd, transfer, defense = load("attack:pgd"), load("attack:transfer"), load("defense:adversarial-training")()
    print("| gradient |", " | ".join(f"{source} to {target}" for source, target in PAIRS), "|")
    print("|---|" + "---:|" * len(PAIRS))
    for title, (gradient, settings) in rows(epsilon).items():
        attack = pgd(steps=20, random_start=False, **settings)
        shares = []
        for source, target in PAIRS:
            both = transfer(attack=attack, models=f"adversarial-training:{source}"), defense.build(target)
            found = run(*both, digits.inputs, digits.labels, ThreatModel("linf", epsilon), gradient=gradient)
            shares.append(100 * float(found.success.sum()) / float(found.correct.sum()))
        print(f"| {title} |", " | ".join(f"{share:.0f}" for share in shares), "|", flush=True)


if __name__ == "__main__":
    main()
