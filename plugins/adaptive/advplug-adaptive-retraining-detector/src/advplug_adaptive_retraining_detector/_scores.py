"""The figure behind the lesson: the detector's scores of clean images and of those that two attacks found."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from advplug_defense_retraining_detector import Detected
from matplotlib.figure import Figure
from torch import Tensor

from advplug.evaluation import Evaluation
from advplug.report import ADAPTIVE, BASELINE, INK, Section, figure, figure_section, quiet, rebuilt

PARTS = {
    "clean": ("clean images", INK),
    "control": ("found on the classifier alone", BASELINE),
    "adaptive": ("found with the detector's gradient", ADAPTIVE),
}
CAPTION = (
    "The score of the detector, sorted within each kind of image; above zero it rejects. Images that were found on the "
    "classifier alone are far above. An attack that follows the detector's gradient too ends below zero."
)


def scores(evaluation: Evaluation) -> list[Section]:
    """The section for the report; none without weights, a detector, or successes of both attacks."""
    found = rebuilt(evaluation, "retraining-detector")
    if found is None or not isinstance(found.model, Detected):
        return []
    images = {"clean": found.inputs}
    for row in evaluation.rows:
        if row.role in PARTS and "success" in row.arrays and row.arrays["success"].any():
            images[row.role] = torch.from_numpy(row.arrays["adversarials"][row.arrays["success"]]).to(found.inputs)
    if set(images) != set(PARTS):
        return []
    with torch.no_grad():
        seen = {role: found.model.detector_scores(x)[:, 0].sort().values for role, x in images.items()}
    alt = "Scores of images found on the classifier alone are far above zero, those of the adaptive attack below it."
    return [figure_section("What the detector says", drawn(seen), alt=alt, caption=CAPTION)]


def drawn(seen: Mapping[str, Tensor]) -> Figure:
    """One line of sorted scores (n,) for each kind of image."""
    page = figure(2.8)
    axes = page.subplots()
    for role, (label, colour) in PARTS.items():
        share = torch.arange(1, len(seen[role]) + 1) / len(seen[role])
        axes.plot(share, seen[role], color=colour, linewidth=1.6, label=label)
    axes.axhline(0, color=INK, linewidth=0.6, linestyle="--")
    axes.legend(frameon=False, fontsize=8, labelcolor="linecolor")
    quiet(axes, title="", x="share of the images, sorted by score", y="score of the detector")
    return page
