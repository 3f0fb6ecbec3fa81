"""The figure behind the lesson: along the way to another centre, which loss has a slope."""

from __future__ import annotations

from typing import cast

import torch
from matplotlib.figure import Figure
from torch import Tensor

from advplug.evaluation import Evaluation
from advplug.report import ADAPTIVE, BASELINE, Section, figure, figure_section, quiet, rebuilt

TINY = torch.finfo(torch.float32).tiny * torch.finfo(torch.float32).eps  # the least number above zero in float32
CAPTION = (
    "Left: the gap between the largest and the second largest logit, for the samples that the network gets right. "
    "Beyond the line the probabilities of all other classes are zero in float32, and so is the gradient of the "
    "cross-entropy. Right: the length of the gradient with respect to the input, for the same samples, smallest first: "
    "that of the cross-entropy ends where it vanishes; that of the squared distance to the second nearest centre does "
    "not."
)


def saturation(evaluation: Evaluation) -> list[Section]:
    """The section for the report; none where the preset has no weights."""
    found = rebuilt(evaluation, "mmc")
    if found is None:
        return []
    alt = "Logits far apart; the gradient of the cross-entropy is zero for many samples, that of the distance for none."
    return [figure_section("Why the softmax fails", drawn(*slopes(*found)), alt=alt, caption=CAPTION)]


def slopes(model: torch.nn.Module, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gap between the two largest logits, and the Euclidean lengths of two gradients, (n,) each, of correct samples.

    The gradients are those of the cross-entropy of the true class and of the second largest logit, which is the
    negative squared distance to the second nearest centre.
    """
    with torch.no_grad():
        right = model(inputs).argmax(1) == labels
    x = inputs[right].requires_grad_()
    logits = model(x)
    top = logits.topk(2, dim=1).values
    losses = (torch.nn.functional.cross_entropy(logits, labels[right], reduction="sum"), top[:, 1].sum())
    first, second = (torch.autograd.grad(loss, x, retain_graph=True)[0] for loss in losses)
    return (top[:, 0] - top[:, 1]).detach(), _length(first), _length(second)


def _length(gradient: Tensor) -> Tensor:
    """Euclidean length (n,), computed in double: the squares of small gradients vanish in float32."""
    return cast(Tensor, torch.linalg.vector_norm(gradient.double().flatten(1), dim=1))


def drawn(gaps: Tensor, entropy: Tensor, distance: Tensor) -> Figure:
    """Histogram of the gaps beside the sorted lengths of both gradients."""
    canvas = figure(2.6)
    left, right = canvas.subplots(1, 2)
    left.hist(gaps, bins=40, range=(0, max(230.0, gaps.max().item())), color=BASELINE)
    left.axvline(-torch.tensor(TINY, dtype=torch.float64).log().item(), color=ADAPTIVE, linewidth=1)
    quiet(left, title="Largest logit less the second largest", x="gap", y="samples")
    lost = int((entropy == 0).sum())
    lines = {
        f"cross-entropy, {lost} of {len(entropy)} zero": (entropy, BASELINE),
        "distance to another centre": (distance, ADAPTIVE),
    }
    for label, (lengths, colour) in lines.items():
        ordered = lengths.sort().values
        ranks = torch.arange(len(ordered))[ordered > 0]
        right.semilogy(ranks, ordered[ordered > 0], color=colour, linewidth=1.4, label=label)
    right.legend(frameon=False, fontsize=8, loc="center left", labelcolor="linecolor")
    right.set_xlim(0, len(entropy))
    quiet(right, title="Length of the gradient", x="sample, smallest first")
    return canvas
