"""The figure behind the lesson: which term of the scores an attack turns, and which draws it leaves."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from advplug_defense_generative import GBZ
from matplotlib.figure import Figure
from torch import Tensor

from advplug.evaluation import Evaluation
from advplug.report import ADAPTIVE, INTERMEDIATE, Section, figure, figure_section, quiet, rebuilt

SHOWN, DRAWS = 100, 50
SHORT = {"reconstruction": "reconstruction", "label": "label", "prior": "prior", "posterior": "-posterior"}
CAPTION = (
    "Left: by how much each term of a score is greater for the true class than for the class that the adversarial is "
    "answered with, on average over the clean images (grey) and over what the adaptive attack found. On clean images "
    "the label term decides. Right: the share of fresh draws in which each image is lost, sorted. A clean image is "
    "lost where the answer is wrong or rejected, an adversarial one where it is wrong and accepted."
)


class Seen(NamedTuple):
    """``gaps`` of each term, of clean images and adversarials, (4, 2); ``lost``: shares of draws, each (n,)."""

    gaps: Tensor
    lost: tuple[Tensor, Tensor]


def terms(evaluation: Evaluation) -> list[Section]:
    """The section for the report; none without weights or a success of the adaptive attack."""
    found, row = rebuilt(evaluation, "generative"), evaluation.rows[-1]
    success = np.asarray(row.arrays.get("success", np.zeros(0)), bool)
    if found is None or not isinstance(found.model, GBZ) or not success.any():
        return []
    won = torch.from_numpy(success.nonzero()[0][:SHOWN])
    adversarial = torch.from_numpy(np.asarray(row.arrays["adversarials"]))[won]
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        seen = compared(found.model, found.inputs[won], adversarial, found.labels[won])
    alt = "Left: the label term turns from positive to negative. Right: adversarials are lost in most draws."
    return [figure_section("Terms of the scores, and their noise", drawn(seen), alt=alt, caption=CAPTION)]


def compared(model: GBZ, clean: Tensor, adversarial: Tensor, labels: Tensor) -> Seen:
    """Terms and draws of images (n, ...) of classes ``labels`` (n,) and of their adversarials, under fresh noise."""
    decisions = [(model.decide(clean), model.decide(adversarial)) for _ in range(DRAWS)]
    answers = torch.stack([decision.labels for _, decision in decisions]).mode(0).values
    rows = torch.arange(len(labels))
    gaps = []
    for images in (clean, adversarial):
        bound = model.bound(images)
        signed = bound._replace(posterior=-bound.posterior)
        means = torch.stack([term.mean(0) for term in signed])
        gaps.append((means[:, rows, labels] - means[:, rows, answers]).mean(1))
    lost = (
        torch.stack([(one.labels != labels) | ~one.accepted for one, _ in decisions]),
        torch.stack([(other.labels != labels) & other.accepted for _, other in decisions]),
    )
    return Seen(torch.stack(gaps, 1), (lost[0].float().mean(0), lost[1].float().mean(0)))


def drawn(seen: Seen) -> Figure:
    """The gaps of the terms beside the draws."""
    canvas = figure(2.8)
    left, right = canvas.subplots(1, 2)
    places = np.arange(len(SHORT))
    for number, (name, colour) in enumerate((("clean", INTERMEDIATE), ("adaptive attack", ADAPTIVE))):
        left.bar(places + 0.4 * number - 0.2, seen.gaps[:, number], 0.4, color=colour, label=name)
        shares = seen.lost[number].sort().values
        right.plot(np.linspace(0, 1, len(shares)), shares, color=colour, linewidth=1.8, label=name)
    left.axhline(0, color="black", linewidth=0.6)
    left.set_xticks(places, list(SHORT.values()), fontsize=7.5)
    left.legend(frameon=False, fontsize=8)
    quiet(left, title="True class over answered class", x="", y="nats")
    right.set_ylim(0, 1.02)
    quiet(right, title="Draws that are lost", x="share of images, sorted", y="share of draws")
    return canvas
