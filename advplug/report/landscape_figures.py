"""Figures of the margin around some samples, measured at the end of the run."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from advplug.numerics.written_numbers import written
from advplug.records.evaluation import Arrays, Evaluation
from advplug.report.picture import Picture, listed
from advplug.report.style import ADAPTIVE, BASELINE, INK, figure, quiet

LINES, PLANES = "Margin along a line", "Margin in a plane"
_NONE = (
    "Not measured: the run is of an earlier version, has no budget in a norm, no sample was right, or the model gave "
    "no numbers."
)
_NO_GRADIENT = "No gradient at the clean input: the margin was measured along the random direction alone."
_RANDOM = " The model is random: every value is that of one draw, and noise looks like a rough landscape."


def margin_lines(evaluation: Evaluation) -> Picture:
    """The margin of the true class along a random direction and against its gradient."""
    found = _with_numbers(evaluation.landscapes)
    if "random" not in found:
        return Picture(LINES, _NONE)
    lines = {"along a random direction": (found["random"], BASELINE)}
    if "descent" in found:
        lines["against the gradient"] = (found["descent"], ADAPTIVE)
    radius, shown = float(found["radius"][0]), found["shown"]
    drawn = figure(2.4)
    panels = drawn.subplots(1, len(shown), squeeze=False, sharey=True).flatten()
    for number, axes in enumerate(panels):
        axes.axhline(0, color=INK, linewidth=0.7)
        for text, (values, colour) in lines.items():
            steps = np.linspace(-radius, radius, values.shape[1])
            axes.plot(steps, values[number], color=colour, linewidth=1.3, label=text if number == 0 else None)
        margin = "margin" if number == 0 else ""
        quiet(axes, title=_title(evaluation, shown[number]), x=_distance(evaluation), y=margin)
        axes.locator_params(axis="x", nbins=3)
    drawn.legend(loc="outside lower left", ncols=2, frameon=False, fontsize=8, labelcolor=INK)
    caption = (
        "The score of the true class less the highest other, from one edge of the budget through the clean input at 0 "
        "to the other edge; below 0 the model is wrong. Where a line jumps, or the step against the gradient does not "
        "lower the margin, gradients mislead an attack. " + ("" if "descent" in found else _NO_GRADIENT)
    ).strip() + _noise(evaluation)
    clauses = (
        f"sample {sample}, margin {_middle(found['random'][number]):.3g}: "
        + ", ".join(f"{text} {np.nanmin(values[number]):.3g} at least" for text, (values, _) in lines.items())
        for number, sample in enumerate(shown)
    )
    edge = written(radius, digits=3)
    return Picture(LINES, caption, drawn, f"Margin of {len(shown)} samples up to {edge}. {listed(clauses)}")


def margin_planes(evaluation: Evaluation) -> Picture:
    """The margin in the plane of the random direction and the one against the gradient."""
    found = _with_numbers(evaluation.landscapes)
    if "plane" not in found:
        return Picture(PLANES, _NO_GRADIENT if "random" in found else _NONE)
    radius, shown, planes = float(found["radius"][0]), found["shown"], found["plane"]
    scale = float(np.nanmax(np.abs(planes), initial=0)) or 1.0
    drawn = figure(2.35)
    panels = drawn.subplots(1, len(shown), squeeze=False).flatten()
    for number, axes in enumerate(panels):
        last = _plane(axes, planes[number], radius, scale)
        side = "random direction" if number == 0 else ""
        quiet(axes, title=_title(evaluation, shown[number]), x="against the gradient", y=side)
        axes.grid(False)
        axes.locator_params(nbins=3)
    bar = drawn.colorbar(last, ax=panels, location="right", shrink=0.8, pad=0.02)
    bar.ax.tick_params(colors=INK, length=0, labelsize=7.5)
    bar.outline.set_visible(False)
    caption = (
        "The clean input is in the middle. Blue: the true class leads; red: the model is wrong; the black line is the "
        "boundary. A smooth slope towards the right is a landscape in which gradients lead somewhere. Corners are "
        "outside the budget."
    ) + _noise(evaluation)
    clauses = (
        f"sample {sample}: wrong on {100 * np.mean(planes[number] < 0):.0f} % of the plane, margins from "
        f"{np.nanmin(planes[number]):.3g} to {np.nanmax(planes[number]):.3g}"
        for number, sample in enumerate(shown)
    )
    edge = written(radius, digits=3)
    return Picture(PLANES, caption, drawn, f"Margin around {len(shown)} samples up to {edge}. {listed(clauses)}")


def _with_numbers(found: Arrays) -> Arrays:
    """The landscapes without the samples around which the model gives no number at all; empty where none is left."""
    if "random" not in found:
        return {}
    drawn = [name for name in ("random", "descent", "plane") if name in found]
    kept = np.all([np.isfinite(found[name]).any(tuple(range(1, found[name].ndim))) for name in drawn], axis=0)
    if not kept.any():
        return {}
    return {name: values if name == "radius" else values[kept] for name, values in found.items()}


def _plane(axes: Axes, values: NDArray[np.float32], radius: float, scale: float) -> AxesImage:
    edges = (-radius, radius, -radius, radius)
    image = axes.imshow(
        values, cmap="RdBu", vmin=-scale, vmax=scale, extent=edges, origin="lower", interpolation="nearest"
    )
    if np.nanmin(values) < 0 < np.nanmax(values):
        steps = np.linspace(-radius, radius, len(values))
        axes.contour(steps, steps, np.nan_to_num(values), levels=[0], colors="black", linewidths=1)
    return image


def _title(evaluation: Evaluation, sample: int) -> str:
    text = evaluation.name_of(int(evaluation.labels[sample]))
    return f"sample {sample}, class {text[:14]}".replace("$", r"\$")


def _distance(evaluation: Evaluation) -> str:
    return f"distance ({evaluation.threat.partition(':')[0]})"


def _middle(values: NDArray[np.float32]) -> float:
    return float(values[len(values) // 2])


def _noise(evaluation: Evaluation) -> str:
    return "" if evaluation.clean_error_rate is None else _RANDOM
