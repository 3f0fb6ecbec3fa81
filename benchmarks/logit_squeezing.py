"""Whether squeezed logits hide how weak a network is, over the epochs of a residual network on CIFAR-10.

usage: python benchmarks/logit_squeezing.py FILE [--epochs 60] [--images 5000] [--width 16] [--blocks 3] [--every 10]

FILE gets the weights of the end. Until then each epoch is kept beside it: the same command goes on where it stopped.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import click
import torch
from advplug_attack_pgd import PGD
from advplug_defense_adp._networks import residual_network
from advplug_defense_logit_pairing import LogitPairing
from torch import nn
from training_rows import watched

from advplug import load, run
from advplug.data import Images
from advplug.losses import CrossEntropy, Margin
from advplug.training import seeded

PRESET = "cifar10-lsq"
SHORT = PGD(steps=10, step_size=2 / 255)
"""Mosbach et al. 2018: their baseline, whatever the budget."""
LONG = PGD(steps=100, schedule="cosine")
"""The adaptive attack of the case, with five restarts."""
BUDGETS = (4, 8, 16)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--epochs", default=60, show_default=True, help="Passes over the images; the authors take 100.")
@click.option("--images", default=5000, show_default=True, help="Training images.")
@click.option("--width", default=16, show_default=True, help="Filters of the first stage; the authors take 64.")
@click.option("--blocks", default=3, show_default=True, help="Residual blocks a stage: 3 for a ResNet-20.")
@click.option("--every", default=10, show_default=True, help="Epochs between two rows.")
@click.option("--limit", default=100, show_default=True, help="Images that are attacked.")
def main(*, file: Path, epochs: int, images: int, width: int, blocks: int, every: int, limit: int) -> None:
    """Train with the loss of cifar10-lsq, and print a row in Markdown after every so many epochs."""
    data = load("data:cifar10")()
    seen, unseen = data.load("train", images), data.load("test", limit)
    model = seeded(0, lambda: residual_network(3, width, blocks, 2))
    config = LogitPairing().trained_with(PRESET, epochs=epochs).configurations[PRESET].training
    watched(file, model, seen, config, every=every, row=lambda: _described(model, seen[:limit], unseen))


def _described(model: nn.Module, seen: Images, unseen: Images) -> dict[str, str]:
    """Mean length of the logits, accuracy on both, and what both attacks leave of the second at each budget."""
    with torch.no_grad():
        length = model(unseen.inputs).norm(dim=1).mean()
        known, clean = ((model(x.inputs).argmax(1) == x.labels).float().mean() for x in (seen, unseen))
    cells = {"logits": f"{length:.2f}", "trained on": f"{known:.1%}", "others": f"{clean:.1%}"}
    for budget in BUDGETS:
        attacked = partial(run, model=model, inputs=unseen.inputs, labels=unseen.labels, threat=f"linf:{budget}/255")
        short = attacked(SHORT, loss=CrossEntropy())
        long = attacked(replace(LONG, step_size=budget / 255), loss=Margin(), restarts=5)
        cells[f"short, {budget}/255"] = f"{short.robust_accuracy:.1%}"
        cells[f"long, {budget}/255"] = f"{long.robust_accuracy:.1%}"
    return cells


if __name__ == "__main__":
    main()
