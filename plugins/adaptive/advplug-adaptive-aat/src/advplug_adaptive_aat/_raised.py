"""The figure behind the lesson: which detector each attack raises, and which one decides."""

from __future__ import annotations

from dataclasses import replace

import torch
from advplug_defense_aat import Integrated
from matplotlib.figure import Figure
from torch import Tensor

from advplug import run
from advplug.criteria import Misclassified
from advplug.evaluation import Evaluation
from advplug.gradients import Selective
from advplug.losses import Margin
from advplug.numerics import best_other, raw, wrap
from advplug.report import ADAPTIVE, BASELINE, INK, Section, figure, figure_section, quiet, rebuilt
from advplug.threat import ThreatModel
from advplug_adaptive_aat._adaptive import OTHERS, search

SAMPLES, STEPS = 50, 20
CAPTION = (
    "Misclassified images at the end of PGD of 20 steps. Across: the largest score of any detector but that of the "
    "true class, which the loss of the authors raises. Upwards: the score of the answer's detector, which decides; an "
    "image is accepted above the broken line. Below the diagonal another detector was raised than the one that "
    "decides. The adaptive attack tries each class in turn; the point is that of its best class."
)


def raised(evaluation: Evaluation) -> list[Section]:
    """The section for the report; none without weights, a budget, or a classifier beside the detectors."""
    found, epsilon = rebuilt(evaluation, "aat"), evaluation.epsilon
    if found is None or epsilon is None or not isinstance(found.model, Integrated):
        return []
    x, y = found.inputs[:SAMPLES], found.labels[:SAMPLES]
    authors, adaptive = (ends(found.model, x, y, epsilon, each=each) for each in (False, True))
    alt = "The loss of the authors often raises a detector that does not decide; the adaptive attack raises the one."
    shown = drawn(authors, adaptive, tau=-float(found.model.thresholds))
    return [figure_section("Which detector is raised", shown, alt=alt, caption=CAPTION)]


def ends(model: Integrated, x: Tensor, y: Tensor, epsilon: float, *, each: bool) -> Tensor:
    """Of each image the largest score of a detector of another class, and that of the detector of its answer, (n, 2).

    NaN where the answer is right. ``each``: at the end of the adaptive attack, for the class with the best score of the
    answer's detector; otherwise of the attack with the authors' loss.
    """
    attack = replace(search(epsilon), steps=STEPS, judge="last")
    gradient = Selective() if each else Selective(OTHERS)
    aims = [(y + offset) % model.num_classes for offset in range(1, model.num_classes)] if each else [None]
    best = x.new_full((len(x), 2), torch.nan)
    for targets in aims:
        found = run(
            attack,
            model,
            x,
            y,
            ThreatModel("linf", epsilon, bounds=model.bounds),
            loss=Margin(),
            gradient=gradient,
            targets=targets,
            criterion=Misclassified(),
        )
        with torch.no_grad():
            logits, decisive = model.judged(found.adversarials)
            other = raw(best_other(wrap(model.features(found.adversarials)), wrap(y)))
        better = (logits.argmax(1) != y) & ~(decisive <= best[:, 1])
        best = torch.where(better[:, None], torch.stack((other, decisive), 1), best)
    return best


def drawn(authors: Tensor, adaptive: Tensor, *, tau: float) -> Figure:
    """Both clouds of points (n, 2) as :func:`ends` gives them."""
    page = figure(3.2)
    axes = page.subplots()
    for name, points, colour in (("loss of the authors", authors, BASELINE), ("adaptive", adaptive, ADAPTIVE)):
        axes.scatter(points[:, 0].numpy(), points[:, 1].numpy(), color=colour, s=14, label=name)
    axes.axline((tau, tau), slope=1, color=INK, linewidth=0.6)
    axes.axhline(tau, color=INK, linewidth=0.9, linestyle="--")
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    quiet(axes, title="", x="largest score of another class's detector", y="score of the answer's detector")
    return page
