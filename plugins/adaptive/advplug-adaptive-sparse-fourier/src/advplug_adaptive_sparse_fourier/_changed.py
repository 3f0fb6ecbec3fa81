"""The figure behind the lesson: which of the changed pixels the recovery finds, and how many an attack needs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from advplug_defense_sparse_fourier import Recovered
from matplotlib.figure import Figure
from torch import Tensor

from advplug.evaluation import Evaluation
from advplug.report import ADAPTIVE, BASELINE, Section, figure, figure_section, quiet, rebuilt

PARTS = (
    ("control", "found on the network alone", BASELINE, "dashed"),
    ("adaptive", "found through the recovery", ADAPTIVE, "solid"),
)
CAPTION = (
    "Adversarial images that the same attack found on the network alone (dashed) and through the recovery (solid). "
    "Left: of the values that the attack changed in an image, the share that the recovery takes for changed, sorted. "
    "Right: the accuracy that is left where so many values may change: "
    "of the network alone on its own adversarial images, and of the defense on those found through it."
)


class Changed(NamedTuple):
    """Of one attack's successes: ``found`` (n,) the share of the changed values that the recovery takes for changed,
    ``altered`` (n,) how many were changed.

    ``samples`` is how many were attacked, wrong ones included.
    """

    found: Tensor
    altered: Tensor
    samples: int


def changed_pixels(evaluation: Evaluation) -> list[Section]:
    """The section for the report; none without weights, a recovery, or both attacks."""
    found = rebuilt(evaluation, "sparse-fourier")
    if found is None or not isinstance(found.model, Recovered):
        return []
    rows = {row.role: row for row in evaluation.rows if "success" in row.arrays and row.arrays["success"].any()}
    if not all(role in rows for role, *_ in PARTS):
        return []
    seen = [
        measured(found.model, found.inputs, *(rows[role].arrays[name] for name in ("adversarials", "success")))
        for role, *_ in PARTS
    ]
    alt = (
        "Left: the recovery finds most of the values changed on the network alone, and few of those changed through "
        "it. Right: both curves fall to zero at few changed values."
    )
    return [figure_section("What the recovery finds", drawn(seen), alt=alt, caption=CAPTION)]


@torch.no_grad()
def measured(model: Recovered, x: Tensor, adversarials: np.ndarray, success: np.ndarray) -> Changed:
    """What the recovery finds of the perturbations of ``success``, bool (N,), from ``x`` to ``adversarials``."""
    broken = torch.from_numpy(np.asarray(success, bool))
    clean, adversarial = x[broken], torch.from_numpy(np.asarray(adversarials))[broken].to(x)
    changed = (adversarial != clean).flatten(1)
    taken = (model.recovery.separated(adversarial)[1] != 0).flatten(1)
    count = changed.sum(1)
    return Changed((changed & taken).sum(1) / count, count, len(x))


def drawn(seen: list[Changed]) -> Figure:
    """What the recovery finds, beside what is left at each number of changed values."""
    canvas = figure(2.8)
    left, right = canvas.subplots(1, 2)
    most = max(int(part.altered.max()) for part in seen)
    for part, (_, name, colour, dashes) in zip(seen, PARTS, strict=True):
        share = torch.arange(1, len(part.found) + 1) / len(part.found)
        left.plot(share, part.found.sort().values, color=colour, linestyle=dashes, linewidth=1.6)
        count = torch.arange(most + 2)
        broken = (part.altered[None] <= count[:, None]).sum(1)
        right.step(
            count,
            (len(part.altered) - broken) / part.samples,
            color=colour,
            linestyle=dashes,
            linewidth=1.6,
            where="post",
            label=name,
        )
    left.set_ylim(0, 1)
    right.set_ylim(0, 1)
    right.legend(frameon=False, fontsize=8, labelcolor="linecolor")
    quiet(left, title="Changed values that the recovery finds", x="images, sorted", y="share")
    quiet(right, title="Accuracy", x="values that may change")
    return canvas
