"""The figure behind the lesson: where tanh is flat, and how much gradient comes through it."""

from __future__ import annotations

from typing import cast

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

from advplug.evaluation import Evaluation
from advplug.report import ADAPTIVE, BASELINE, INK, Section, figure, figure_section, quiet, rebuilt

FLAT = 9.01
"""From here on tanh is 1 in float32, and its slope zero."""

CAPTION = (
    "The images of this run that the ensemble gets right. Left: size of their bits before tanh; to the right of the "
    "line tanh is 1 in float32 and has no slope. Right: largest entry of the gradient at each image, of the "
    "cross-entropy through the decoder and of the hinge in front of it; no gradient at all is drawn at the left edge."
)


def saturation(evaluation: Evaluation) -> list[Section]:
    """The section for the report; none where the preset has no weights."""
    found = rebuilt(evaluation, "ecoc")
    if found is None:
        return []
    alt = "Histograms of the bits before tanh and of the largest gradient entries of two losses."
    return [figure_section("Why gradients fail", drawn(*slopes(*found)), alt=alt, caption=CAPTION)]


def slopes(model: torch.nn.Module, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Bits before tanh (n, M) and the largest gradient entries (n,) of cross-entropy and hinge, where it is right."""
    right = model(inputs).argmax(1) == labels
    x, y = inputs[right].requires_grad_(), labels[right][:, None]
    bits = cast(Tensor, model.bits(x))  # type: ignore[operator]
    entropy = F.cross_entropy(cast(Tensor, model.decode(bits)), y.squeeze(1), reduction="sum")  # type: ignore[operator]
    scores = bits @ cast(Tensor, model.code).T
    hinge = (scores.gather(1, y).squeeze(1) - scores.scatter(1, y, -torch.inf).amax(1)).sum()
    through, before = (
        torch.autograd.grad(loss, x, retain_graph=True)[0].flatten(1).abs().amax(1) for loss in (entropy, hinge)
    )
    return cast(float, model.gain) * bits.detach(), through, before


def drawn(bits: Tensor, entropy: Tensor, hinge: Tensor) -> Figure:
    """Two panels: bits before tanh, and largest gradient entries on a logarithmic axis."""
    found = figure(2.5)
    left, right = found.subplots(1, 2)
    left.hist(bits.abs().flatten().clamp(max=30).numpy(), bins=60, color=BASELINE, alpha=0.85)
    left.axvline(FLAT, color=INK, linewidth=0.9)
    quiet(left, title="bits before tanh", x="absolute value", y="bits")
    floor = -14.0
    edges = torch.linspace(floor, 3, 52).tolist()
    for values, colour, label in ((entropy, BASELINE, "cross-entropy"), (hinge, ADAPTIVE, "hinge before tanh")):
        right.hist(values.log10().clamp(min=floor).numpy(), bins=edges, color=colour, alpha=0.75, label=label)
    right.legend(frameon=False, fontsize=8, labelcolor=INK)
    quiet(right, title="largest entry of the gradient", x="power of ten", y="images")
    return found
