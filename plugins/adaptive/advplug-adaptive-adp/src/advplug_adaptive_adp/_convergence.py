"""The figure behind the lesson: how many images are left after each step of PGD."""

from __future__ import annotations

from typing import NamedTuple

import torch
from advplug_defense_adp import MeanProbability
from matplotlib.figure import Figure
from torch import Tensor

from advplug.evaluation import Evaluation
from advplug.report import ADAPTIVE, BASELINE, INTERMEDIATE, Section, figure, figure_section, quiet, rebuilt

STEPS, SAMPLES, AUTHORS = 60, 50, 10
CAPTION = (
    "PGD of steps of a tenth of the budget on the first images that the ensemble gets right, from the images "
    "themselves. Left panel: the share of images that are still right after each step; the dashed line is where the "
    "defense's authors stopped. Right panel: the mean probability that each member gives to the true class."
)


class Course(NamedTuple):
    """What PGD finds after 0 to STEPS steps: ``right`` bool (STEPS + 1, n), ``true_class`` float (STEPS + 1, n, M)."""

    right: Tensor
    true_class: Tensor


def convergence(evaluation: Evaluation) -> list[Section]:
    """The section for the report; none without weights or a budget."""
    found, epsilon = rebuilt(evaluation, "adp"), evaluation.epsilon
    if found is None or not isinstance(found.model, MeanProbability) or epsilon is None:
        return []
    seen = course(found.model, found.inputs, found.labels, epsilon)
    alt = "Left: the accuracy goes on falling after the tenth step. Right: so does the probability of the true class."
    return [figure_section("Ten steps are too few", drawn(seen), alt=alt, caption=CAPTION)]


def course(model: MeanProbability, inputs: Tensor, labels: Tensor, epsilon: float) -> Course:
    """Run PGD on the first SAMPLES images that the ensemble gets right, ``epsilon`` under Linf."""
    with torch.no_grad():
        first = (model(inputs).argmax(1) == labels).nonzero().squeeze(1)[:SAMPLES]
    clean, y = inputs[first], labels[first]
    low, high = (clean - epsilon).clamp(min=0), (clean + epsilon).clamp(max=1)
    point, parts = clean, []
    for _ in range(STEPS + 1):
        point = point.detach().requires_grad_()
        members = model.member_logits(point).softmax(2)
        mean = members.mean(1)
        parts.append((mean.detach().argmax(1) == y, members.detach()[torch.arange(len(y)), :, y]))
        (gradient,) = torch.autograd.grad(torch.nn.functional.cross_entropy(mean, y), point)
        point = torch.clamp(point + epsilon / 10 * gradient.sign(), low, high)
    right, true_class = (torch.stack(column) for column in zip(*parts, strict=True))
    return Course(right, true_class)


def drawn(seen: Course) -> Figure:
    """The accuracy beside the probability of the true class."""
    canvas = figure(2.8)
    left, right = canvas.subplots(1, 2)
    left.plot(seen.right.double().mean(1), color=ADAPTIVE, linewidth=1.8)
    left.axvline(AUTHORS, color=BASELINE, linestyle="dashed", linewidth=1)
    left.set_ylim(0, 1)
    quiet(left, title="Accuracy", x="steps", y="share of images")
    means = seen.true_class.double().mean(1)
    for number, dashes in zip(range(means.shape[1]), ("solid", "dashed", "dotted"), strict=False):
        right.plot(means[:, number], color=INTERMEDIATE, linestyle=dashes, linewidth=1.2, label=f"member {number + 1}")
    right.axvline(AUTHORS, color=BASELINE, linestyle="dashed", linewidth=1)
    right.set_ylim(0, 1)
    right.legend(frameon=False, fontsize=8)
    quiet(right, title="Probability of the true class", x="steps")
    return canvas
