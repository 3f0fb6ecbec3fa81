"""The figure behind the lesson: what the network sees of an image under three masks."""

from __future__ import annotations

import torch
from advplug_defense_me_net import Masked, estimated
from matplotlib.figure import Figure
from torch import Tensor

from advplug.evaluation import Evaluation
from advplug.report import Section, figure, figure_section, rebuilt

SHOWN, MASKS = 2, 3
CAPTION = (
    "The first images of this evaluation, and what the network sees of each under three masks. So many singular values "
    "are kept that the estimate shows the mask: every draw is another image, and so is its gradient."
)


def masks(evaluation: Evaluation) -> list[Section]:
    """The section for the report; none without weights or masks."""
    found = rebuilt(evaluation, "me-net")
    if found is None or not isinstance(found.model, Masked):
        return []
    shown = drawn(seen(found.model, found.inputs[:SHOWN]))
    alt = "Digits or photographs beside the same ones with half of their values missing, three times differently."
    return [figure_section("What the network sees", shown, alt=alt, caption=CAPTION)]


def seen(model: Masked, x: Tensor) -> Tensor:
    """Images ``x`` (n, C, H, W) and their estimates under MASKS masks of a fixed seed, (n, 1 + MASKS, C, H, W)."""
    share, generator = x.new_full((len(x),), model.observed), torch.Generator().manual_seed(0)
    estimates = [estimated(x, share, model.estimator, generator) for _ in range(MASKS)]
    return torch.stack((x, *estimates), 1)


def drawn(images: Tensor) -> Figure:
    """One row of pictures: all of the first image, then all of the next."""
    page = figure(1.2)
    pictures = images.flatten(0, 1)
    for axes, picture in zip(page.subplots(1, len(pictures)), pictures, strict=True):
        axes.imshow(picture.permute(1, 2, 0).squeeze(2).numpy(), cmap="gray", vmin=0, vmax=1)
        axes.axis("off")
    return page
