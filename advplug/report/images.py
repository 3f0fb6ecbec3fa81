"""Clean input, adversarial and difference of samples that were broken."""

from __future__ import annotations

from math import isclose
from typing import Any

import numpy as np
from numpy.typing import NDArray

from advplug.numerics.written_numbers import written
from advplug.records.evaluation import Arrays, Evaluation, Row
from advplug.report.picture import Picture
from advplug.report.sounds import players
from advplug.report.style import INK, figure
from advplug.report.summary import strongest

MOST, MOST_OF_LARGE = 6, 3
LARGE, SIDE = 64, 112
"""Sides in pixels above which fewer images are shown, and above which not every pixel is: else the page is heavy."""
TITLE = "Broken samples"
_ROUNDING = 1e-4
"""By how much a distance in single precision may miss the budget, relative to it."""


def gallery(evaluation: Evaluation, most: int = MOST) -> Picture:
    """The first samples that the strongest attack broke, each above its adversarial and their difference."""
    if evaluation.sample_rate is not None:
        return players(evaluation, evaluation.sample_rate)
    row = strongest(evaluation)
    adversarials = None if row is None else row.arrays.get("adversarials")
    if row is None or adversarials is None:
        return Picture(TITLE, "No adversarials were recorded.")
    inputs = evaluation.inputs
    if inputs.ndim != 4 or inputs.shape[1] not in (1, 3) or inputs.shape != adversarials.shape:
        return Picture(TITLE, f"The inputs have shape {tuple(inputs.shape[1:])}: no images to show.")
    most = min(most, MOST_OF_LARGE) if max(inputs.shape[2:]) > LARGE else most
    broken = np.flatnonzero(row.arrays["success"])[:most]
    if len(broken) == 0:
        return Picture(TITLE, f"{row.name} broke no sample.")
    clean, found = _pixels(inputs[broken]), _pixels(adversarials[broken])
    change = _largest(found - clean)
    scale = float(np.abs(change).max()) or 1.0
    end = _far(scale, evaluation)
    step = -(-max(inputs.shape[2:]) // SIDE)
    clean, found, change = (images[:, ::step, ::step] for images in (clean, found, change))
    low, high = min(0.0, float(inputs.min())), max(1.0, float(inputs.max()))
    drawn = figure(0.35 + 3 * 1.05 + 0.5)
    panels = drawn.subplots(3, most, squeeze=False)
    for axes in panels.flatten():
        axes.set_axis_off()
    for column, sample in enumerate(broken):
        for line, picture in enumerate((clean[column], found[column])):
            shown = (picture - low) / (high - low)
            shown = shown[..., 0] if shown.shape[-1] == 1 else shown
            panels[line, column].imshow(shown, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        last = panels[2, column].imshow(change[column], cmap="RdBu_r", vmin=-scale, vmax=scale, interpolation="nearest")
        panels[0, column].set_title(_title(evaluation, row.arrays, sample), fontsize=7.5, color=INK)
    for axes, text in zip(panels[:, 0], ("clean", "adversarial", "difference"), strict=True):
        place = {"rotation": 90, "ha": "right", "va": "center"}
        axes.annotate(text, (-0.08, 0.5), xycoords="axes fraction", color=INK, fontsize=8, **place)
    bar = drawn.colorbar(last, ax=panels[:, :], location="bottom", shrink=0.4, aspect=40, pad=0.02)
    bar.set_ticks([-scale, 0, scale], labels=[f"-{end}", "0", f"+{end}"])
    bar.ax.tick_params(colors=INK, length=0, labelsize=7.5)
    bar.outline.set_visible(False)
    channel = "" if inputs.shape[1] == 1 else ", of the channel that changed most"
    caption = (
        f"The first {len(broken)} of {int(np.sum(row.arrays['success']))} samples that {row.name} broke, each with its "
        f"label, what the model says instead, and the {evaluation.threat.partition(':')[0]} distance. The difference "
        f"(adversarial minus clean{channel}) is coloured from -{end} to +{end}; white is no change."
        + ("" if step == 1 else f" One pixel of {step} in each direction is shown.")
    )
    return Picture(TITLE, caption, drawn, _alt(evaluation, row, broken))


def _alt(evaluation: Evaluation, row: Row, broken: NDArray[Any]) -> str:
    told = (" to ".join(_classes(evaluation, row.arrays, sample)) for sample in broken)
    spans = row.arrays["distance"][broken] if "distance" in row.arrays else np.zeros(0)
    norm = evaluation.threat.partition(":")[0]
    ends = [_far(end, evaluation) for end in (np.nanmin(spans), np.nanmax(spans))] if len(spans) else []
    far = f" The {norm} distances are {' to '.join(ends)}." if ends else ""
    return f"{len(broken)} images that {row.name} broke, clean, adversarial and difference: {', '.join(told)}.{far}"


def _far(distance: float, evaluation: Evaluation) -> str:
    """A measured distance, as it was written where it is the budget but for rounding."""
    budget = evaluation.epsilon
    if budget is not None and isclose(distance, budget, rel_tol=_ROUNDING):
        return written(budget)
    return f"{distance:.3g}"


def _pixels(images: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(images, np.float64).transpose(0, 2, 3, 1)


def _largest(change: NDArray[Any]) -> NDArray[Any]:
    """For each pixel the signed change of the channel that changed most, (N, H, W)."""
    where = np.abs(change).argmax(axis=-1, keepdims=True)
    return np.asarray(np.take_along_axis(change, where, axis=-1)[..., 0])


def _title(evaluation: Evaluation, arrays: Arrays, sample: int) -> str:
    """``7 to 3``, the label and what the model says instead, above the distance; as far as they are on record."""
    distance = arrays["distance"][sample] if "distance" in arrays else np.nan
    above = " to ".join(_classes(evaluation, arrays, sample)).replace("$", r"\$")
    return f"{above}\n" + (_far(distance, evaluation) if np.isfinite(distance) else "")


def _classes(evaluation: Evaluation, arrays: Arrays, sample: int) -> list[str]:
    """The label, and what the model says instead if it is on record."""
    classes = [int(evaluation.labels[sample])]
    if "predicted" in arrays:
        classes.append(int(arrays["predicted"][sample]))
    return [evaluation.name_of(label)[:14] for label in classes]
