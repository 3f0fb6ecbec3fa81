"""How large the bits of ecoc become by training alone, on CIFAR-10 over the authors' number of epochs.

usage: python benchmarks/ecoc_bits.py FILE [--epochs 400] [--images 10000] [--every 20]

FILE gets the weights of the end. Until then each epoch is kept beside it: the same command goes on where it stopped.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import click
import torch
from advplug_attack_pgd import PGD
from advplug_defense_ecoc import ECOC
from advplug_defense_ecoc._model import EnsembleOfBits
from training_rows import watched

from advplug import load, run
from advplug.data import Images
from advplug.losses import CrossEntropy

PRESET = "cifar10-unsaturated"
FLAT = 3.0
"""From this size of a bit on, the slope of tanh is below one in a hundred."""
JUDGED = 1000
"""The first images that were trained on, and as many that were not: accuracy and bits."""


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--epochs", default=400, show_default=True, help="Passes over the images; the authors take 400.")
@click.option("--images", default=10_000, show_default=True, help="Training images.")
@click.option("--every", default=20, show_default=True, help="Epochs between two rows.")
@click.option("--limit", default=100, show_default=True, help="Images that PGD attacks at the end.")
def main(*, file: Path, epochs: int, images: int, every: int, limit: int) -> None:
    """Train, and print a row in Markdown after every so many epochs."""
    data = load("data:cifar10")()
    seen, unseen = data.load("train", images), data.load("test", JUDGED)
    defense = ECOC().trained_with(PRESET, epochs=epochs)
    model = cast(EnsembleOfBits, defense.initial(PRESET, seen, 0))
    config = defense.configurations[PRESET].training
    judged = {"trained on": seen[:JUDGED], "others": unseen}
    watched(file, model, seen, config, every=every, row=lambda: _described(model, judged))
    attacked = unseen[:limit]
    left = run(PGD(steps=40), model, attacked.inputs, attacked.labels, "linf:8/255", loss=CrossEntropy())
    print(f"\nPGD of 40 steps on the cross-entropy leaves {left.robust_accuracy:.1%} of {len(attacked)} others.")


@torch.no_grad()
def _described(model: EnsembleOfBits, judged: dict[str, Images]) -> dict[str, str]:
    """For each set of images the accuracy, the mean size of a bit and the share of bits where tanh is flat."""
    cells = {}
    for name, images in judged.items():
        bits = model.bits(images.inputs)
        right = (model.decode(bits).argmax(1) == images.labels).float().mean()
        cells[f"accuracy, {name}"] = f"{right:.1%}"
        cells[f"mean bit, {name}"] = f"{bits.abs().mean():.2f}"
        cells[f"flat, {name}"] = f"{(bits.abs() > FLAT).float().mean():.1%}"
    return cells


if __name__ == "__main__":
    main()
