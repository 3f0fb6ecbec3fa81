"""How far the boundary is, and how much farther a mistake as confident as the clean prediction: one table.

python benchmarks/high_confidence.py [--models mnist,mnist-linf,mnist-l2] [--skip 0] [--limit 200] [--cw-steps 100]

DeepFool and the high-confidence attack take 500 steps of at most 0.1, as in Matyasko's thesis, table 4.1. Our remedy
for steps that stall was chosen on the first 100 digits.
"""

from __future__ import annotations

import click
import torch
from minimum_norm_cases import MODELS, Case, case
from rich.console import Console
from rich.table import Table
from torch import Tensor

from advplug import ThreatModel, load, run
from advplug.attack import Attack
from advplug.engine.result import AttackResult

SOURCES = ", sources"
"""Ends the name of the attack as it is in its sources, without a remedy for steps that stall."""

COLUMNS = """C: the high-confidence attack, to that confidence; sources: without patience. rho: mean of ||r|| / ||x|| \
over the images that are right without an attack and on which that attack and all without the word sources succeeded. \
ratio: to DeepFool's rho on the same images. confidence: mean softmax of the \
predicted class. gradients: of each image."""


@click.command()
@click.option("--models", default="mnist,mnist-linf,mnist-l2", show_default=True, help="Presets of a defense.")
@click.option("--skip", default=0, show_default=True, help="Images left out before them.")
@click.option("--limit", default=200, show_default=True, help="Images, wrong ones included.")
@click.option("--cw-steps", default=100, show_default=True, help="Steps of each of the nine searches of C&W.")
@click.option("--threads", default=1, show_default=True)
def main(*, models: str, skip: int, limit: int, cw_steps: int, threads: int) -> None:
    """Print the table."""
    torch.set_num_threads(threads)
    unknown = set(models.split(",")) - set(MODELS)
    if unknown:
        raise click.UsageError(f"no model {', '.join(sorted(unknown))}: choose from {', '.join(MODELS)}")
    titles = ("model", "error %", "attack", "found %", "rho", "ratio", "confidence", "gradients")
    table = Table(*titles, title=f"shipped digits {skip} to {skip + limit - 1}, l2", caption=COLUMNS)
    for model in models.split(","):
        subject = case(model, limit, skip)
        for row in rows(subject, cw_steps):
            table.add_row(model, f"{100 * (1 - len(subject.x) / subject.total):.1f}", *row)
    Console(width=120).print(table)


def rows(subject: Case, cw_steps: int) -> list[tuple[str, ...]]:
    """The rows of one model: attack, found, rho, ratio, confidence, gradients."""
    attacks: dict[str, Attack] = {
        "deepfool": load("attack:deepfool")(steps=500, longest_step=0.1),
        "cw": load("attack:cw")(steps=cw_steps),
        "C = 0.97": load("attack:high-confidence")(confidence=0.97),
        "C = clean": load("attack:high-confidence")(),
        f"C = 0.97{SOURCES}": load("attack:high-confidence")(confidence=0.97, patience=None),
        f"C = clean{SOURCES}": load("attack:high-confidence")(patience=None),
    }
    results = {
        name: run(attack, subject.net, subject.x, subject.y, ThreatModel("l2")) for name, attack in attacks.items()
    }
    everywhere = torch.stack([result.success for name, result in results.items() if SOURCES not in name]).all(0)
    lines = [("none", "", "", "", f"{confidence(subject, subject.x)[everywhere].mean():.4f}", "")]
    for name, result in results.items():
        here = everywhere & result.success
        size, least = (relative(one, subject.x)[here].mean() for one in (result, results["deepfool"]))
        sure = confidence(subject, result.adversarials)[here].mean()
        share = 100 * result.success.float().mean()
        gradients = result.backwards.float().mean()
        lines.append((name, f"{share:.1f}", f"{size:.3f}", f"{size / least:.2f}", f"{sure:.4f}", f"{gradients:.0f}"))
    return lines


def relative(result: AttackResult, x: Tensor) -> Tensor:
    """``||r|| / ||x||`` of each sample, (N,)."""
    return result.distance / x.flatten(1).double().norm(dim=1)


@torch.no_grad()
def confidence(subject: Case, x: Tensor) -> Tensor:
    """Softmax of the predicted class, (N,)."""
    return torch.cat([subject.net(part).softmax(1).amax(1) for part in x.split(256)])


if __name__ == "__main__":
    main()
