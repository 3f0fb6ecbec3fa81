"""The figure behind the lesson: what the vote and the mean of all members say on the way to an adversarial image."""

from __future__ import annotations

from typing import NamedTuple

import torch
from advplug_defense_empir import MixedPrecision, agreeing, votes
from matplotlib.figure import Figure
from torch import Tensor

from advplug.evaluation import Evaluation
from advplug.report import ADAPTIVE, BASELINE, INTERMEDIATE, Section, figure, figure_section, quiet, rebuilt

POINTS, SAMPLES, SHOWN, STEPS = 61, 50, 3, 20
MEMBERS = (
    ("first of few bits", BASELINE, "solid"),
    ("second of few bits", BASELINE, "dashed"),
    ("full precision", INTERMEDIATE, "solid"),
)
CAPTION = (
    "The way from clean images (left) to those of PGD on the mean probability of all members (right). Left panel: the "
    "probability of the true class for three images, as the mean of all members (thin) and of the members that agree "
    "with the vote (thick), which jumps whenever a member changes sides. Right panel: the accuracy of each member and "
    "of the vote on the first images that the vote gets right."
)


class Way(NamedTuple):
    """What is seen at POINTS even steps of the way.

    Parameters
    ----------
    agreeing, mean: probability of the true class, float (POINTS, n), by the members that agree with the vote and by
        all.
    members: which members are right, bool (POINTS, n, 3).
    vote: whether the vote is right, bool (POINTS, n).
    """

    agreeing: Tensor
    mean: Tensor
    members: Tensor
    vote: Tensor


def objectives(evaluation: Evaluation) -> list[Section]:
    """The section for the report; none without weights, a vote, or a budget."""
    found = rebuilt(evaluation, "empir")
    epsilon = evaluation.epsilon
    if found is None or not isinstance(found.model, MixedPrecision) or epsilon is None:
        return []
    seen = way(found.model, found.inputs, found.labels, epsilon)
    alt = (
        "Left: the probability by the members that agree jumps, that by all members falls in small steps. Right: the "
        "vote loses its accuracy together with its members."
    )
    return [figure_section("Why the vote does not help", drawn(seen), alt=alt, caption=CAPTION)]


def way(model: MixedPrecision, inputs: Tensor, labels: Tensor, epsilon: float) -> Way:
    """Measure the way of the first SAMPLES images that the vote gets right, ``epsilon`` under Linf."""
    with torch.no_grad():
        first = (model(inputs).argmax(1) == labels).nonzero().squeeze(1)[:SAMPLES]
    x, y = inputs[first], labels[first]
    far = descended(model, x, y, epsilon)
    with torch.no_grad():
        parts = [_seen(model, x + share * (far - x), y) for share in torch.linspace(0, 1, POINTS).tolist()]
    return Way._make(torch.stack(column) for column in zip(*parts, strict=True))


def descended(model: MixedPrecision, x: Tensor, y: Tensor, epsilon: float) -> Tensor:
    """The last iterate (n, ...) of PGD on the mean probability, from the images ``x`` of labels ``y``."""
    low, high = (x - epsilon).clamp(min=0), (x + epsilon).clamp(max=1)
    point = x
    for _ in range(STEPS):
        point = point.detach().requires_grad_()
        objective = model.surrogate(point).gather(1, y[:, None]).log().sum()
        (gradient,) = torch.autograd.grad(objective, point)
        point = torch.clamp(point - 2.5 * epsilon / STEPS * gradient.sign(), low, high)
    return point.detach()


def _seen(model: MixedPrecision, x: Tensor, y: Tensor) -> Way:
    """One point of the way, without the first dimension."""
    probabilities = model.member_logits(x).softmax(2)
    agree, mean = (
        scores.gather(1, y[:, None]).squeeze(1) for scores in (agreeing(probabilities), probabilities.mean(1))
    )
    return Way(agree, mean, probabilities.argmax(2) == y[:, None], votes(probabilities) == y)


def drawn(seen: Way) -> Figure:
    """Probabilities of some images beside the accuracy of the members."""
    canvas = figure(2.8)
    left, right = canvas.subplots(1, 2)
    share = torch.linspace(0, 1, POINTS)
    for number, colour in zip(range(min(SHOWN, seen.vote.shape[1])), (ADAPTIVE, INTERMEDIATE, BASELINE), strict=False):
        left.plot(share, seen.agreeing[:, number], color=colour, linewidth=1.8)
        left.plot(share, seen.mean[:, number], color=colour, linewidth=0.8)
    left.set_ylim(0, 1)
    quiet(left, title="Probability of the true class", x="share of the way", y="probability")
    accuracy = seen.members.double().mean(1)
    for (name, colour, dashes), line in zip(MEMBERS, accuracy.T, strict=True):
        right.plot(share, line, color=colour, linestyle=dashes, linewidth=1.2, label=name)
    right.plot(share, seen.vote.double().mean(1), color=ADAPTIVE, linewidth=1.8, label="vote")
    right.set_ylim(0, 1)
    right.legend(frameon=False, fontsize=8, labelcolor="linecolor")
    quiet(right, title="Accuracy", x="share of the way")
    return canvas
