"""The figure behind the lesson: the detector's scores of clean images and of what each attack found."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from advplug_defense_odds import OddsModel
from matplotlib.figure import Figure
from torch import Tensor

from advplug.evaluation import Evaluation
from advplug.report import ADAPTIVE, BASELINE, INK, INTERMEDIATE, Section, figure, figure_section, quiet, rebuilt
from advplug.training import Adversary

SHOWN = 100
CAPTION = (
    "Scores of the detector: clean images, the same after PGD of 40 steps on cross-entropy, and what the adaptive "
    "attack found. It rejects to the right of the line. PGD makes images drift back under noise as no clean image does."
)


def scores(evaluation: Evaluation) -> list[Section]:
    """The section for the report; none without weights, a budget, or a success of the adaptive attack."""
    found, row = rebuilt(evaluation, "odds"), evaluation.rows[-1]
    success = np.asarray(row.arrays.get("success", np.zeros(0)), bool)
    epsilon = evaluation.epsilon
    if found is None or not success.any() or epsilon is None:
        return []
    model = cast(OddsModel, found.model)
    adaptive = torch.from_numpy(np.asarray(row.arrays["adversarials"])[success][:SHOWN])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        groups = of_each(model, found.inputs[:SHOWN], found.labels[:SHOWN], adaptive, epsilon)
    alt = "Histograms of detector scores: PGD lies right of the threshold, the adaptive attack among the clean images."
    shown = drawn(groups, float(model.thresholds))
    return [figure_section("What the detector sees", shown, alt=alt, caption=CAPTION)]


def of_each(model: OddsModel, inputs: Tensor, labels: Tensor, adaptive: Tensor, epsilon: float) -> dict[str, Tensor]:
    """Scores (N,) of the clean images, of PGD's, and of those that the adaptive attack found (M, ...)."""
    pgd = Adversary(epsilon=epsilon, step_size=epsilon / 30, steps=40)
    attacked = pgd(model, inputs, labels, torch.Generator().manual_seed(0))
    return {
        "clean": model.detector_scores(inputs),
        "PGD": model.detector_scores(attacked),
        "adaptive attack": model.detector_scores(adaptive),
    }


def drawn(groups: dict[str, Tensor], threshold: float) -> Figure:
    """One histogram for each group on common bins; a line where the detector rejects."""
    page = figure(2.6)
    axes = page.subplots()
    values = torch.cat(list(groups.values()))
    low, high = float(values.min()), float(torch.quantile(values, 0.98))
    colours = {"clean": INTERMEDIATE, "PGD": BASELINE}
    for name, group in groups.items():
        colour = colours.get(name, ADAPTIVE)
        axes.hist(
            group.clamp(max=high).numpy(),
            bins=np.linspace(low, high, 31).tolist(),
            histtype="step",
            linewidth=1.4,
            color=colour,
            label=name,
        )
    axes.axvline(threshold, color=INK, linewidth=0.9, linestyle="--")
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    quiet(axes, title="", x="largest z-score", y="images")
    return page
