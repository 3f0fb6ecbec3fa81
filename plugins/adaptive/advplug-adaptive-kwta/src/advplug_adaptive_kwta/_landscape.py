"""The figure behind the lesson: the margin along random directions, beside that of the same network with ReLU."""

from __future__ import annotations

from typing import cast

import torch
from matplotlib.figure import Figure
from torch import Tensor

from advplug.evaluation import Evaluation
from advplug.model import DefendedModel
from advplug.report import ADAPTIVE, INTERMEDIATE, Section, figure, figure_section, quiet, rebuilt

POINTS, SAMPLES = 400, 4
CAPTION = (
    "Margin of the true class along one random direction of signs, from the clean input to the edge of the budget, "
    "for the first samples that the shipped network gets right. The activation makes it jump; with ReLU, the rest of "
    "the network and its training being the same, it is smooth, and its slope says where to go."
)


def landscape(evaluation: Evaluation) -> list[Section]:
    """The section for the report; none without weights, a twin with ReLU, or a budget."""
    preset = evaluation.preset or ""
    control = f"{preset.partition('-')[0]}-relu"
    found, twin = (rebuilt(evaluation, "kwta", name) for name in (preset, control))
    epsilon = evaluation.epsilon
    if preset == control or found is None or twin is None or epsilon is None:
        return []
    curves = {"k-Winners-Take-All": margins(*found, epsilon), "ReLU": margins(*twin, epsilon)}
    alt = "Line charts of the margin along a random direction: jagged with k-Winners-Take-All, smooth with ReLU."
    return [figure_section("Why gradients fail", _drawn(curves, epsilon), alt=alt, caption=CAPTION)]


@torch.no_grad()
def margins(model: DefendedModel, inputs: Tensor, labels: Tensor, epsilon: float, seed: int = 0) -> Tensor:
    """Margins (SAMPLES, POINTS) of the first correct samples at even steps up to ``epsilon`` along a direction."""
    first = (model(inputs).argmax(1) == labels).nonzero().squeeze(1)[:SAMPLES]
    draws = torch.rand(inputs.shape[1:], generator=torch.Generator().manual_seed(seed))
    direction = torch.where(draws < 0.5, -1.0, 1.0)
    lengths = torch.linspace(0, epsilon, POINTS).view(-1, *(1,) * direction.ndim)
    line = (inputs[first, None] + lengths * direction).clamp(0, 1)
    truth = labels[first].repeat_interleave(POINTS)[:, None]
    logits = model(line.flatten(0, 1))
    margin = logits.gather(1, truth).squeeze(1) - logits.scatter(1, truth, -torch.inf).amax(1)
    return cast(Tensor, margin.view(-1, POINTS))


def _drawn(curves: dict[str, Tensor], epsilon: float) -> Figure:
    drawn = figure(2.6)
    for axes, (title, losses) in zip(drawn.subplots(1, len(curves)), curves.items(), strict=True):
        for loss in losses:
            colour = INTERMEDIATE if title == "ReLU" else ADAPTIVE
            axes.plot(torch.linspace(0, epsilon, POINTS), loss, color=colour, linewidth=0.9)
        axes.locator_params(axis="x", nbins=4)
        quiet(axes, title=title, x="distance (linf)", y="margin")
    return drawn
