"""A made-up search on a model of a user's own, for tests of what ``advplug new case --from`` makes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import made_searches
import numpy as np

from advplug import load
from advplug.records.composition import Left, Sentence

SAMPLES = 6
SENTENCE = Sentence(attack="pgd", settings={"steps": 30}, loss="margin+2*cross-entropy", gradient="traced", targets="3")

MODEL = '''
import torch
from torch import nn

from advplug import load


class Net(nn.Module):
    """The nearest mean image of rounded pixels."""

    def __init__(self, classes=10):
        super().__init__()
        images = load("data:mnist")().load("shipped", 500)
        means = torch.stack([images.inputs[images.labels == label].mean(0).flatten() for label in range(classes)])
        self.means = nn.Parameter(means)

    def forward(self, x):
        return -torch.cdist(((7 * x).round() / 7).flatten(1), self.means)


net = Net()


def two():
    """Zeros and ones alone: fewer classes to aim at, and a shorter run of the suite."""
    return Net(2)


def scores(x):
    return net(x)
'''


def write_search(folder: Path, **fields: Any) -> Path:
    """The folder of a search on the model of ``folder/mine.py``, with what is to be different."""
    (folder / "mine.py").write_text(MODEL, encoding="utf-8")
    left = Left(samples=SAMPLES, clean=1.0, standard=0.5, search=0.0)
    groups = dict.fromkeys(("chosen_on", "held_out", "together"), left)
    values = {"model": "mine:Net", "threat": "linf:0.45", "seed": 0, "sentences": (SENTENCE,), **groups, **fields}
    run = folder / "run"
    run.mkdir()
    (run / "search.json").write_text(json.dumps(made_searches.search(**values).to_json()), encoding="utf-8")
    return run


def write_data(path: Path) -> Path:
    """Zeros and ones as a user's own file of bytes."""
    digits = load("data:mnist")().load("shipped", 60)
    rows = digits.labels < 2
    pixels = (digits.inputs[rows] * 255).round().numpy().astype(np.uint8)
    np.savez(path, x=pixels, y=digits.labels[rows].numpy())
    return path
