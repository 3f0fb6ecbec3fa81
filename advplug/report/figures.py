"""Curves and histograms of an evaluation. Each function returns None where there is nothing to draw."""

from __future__ import annotations

import math
from textwrap import shorten
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from advplug.records.evaluation import Evaluation, Row
from advplug.report.style import COLOURS, INK, INTERMEDIATE, figure, quiet

_MARKERS = "osD^vPX*"
_MOST_POINTS = 400  # a curve of more points looks the same and makes the page heavy

Points = tuple[tuple[float, float], ...]


def accuracy_curves(evaluation: Evaluation) -> Figure | None:
    """Robust accuracy against epsilon: what was run as markers, what follows from shrinking as dashes."""
    epsilon = evaluation.epsilon
    if not any(_ran(row, evaluation, epsilon) for row in evaluation.rows):
        return None
    drawn = figure(3.4)
    axes = drawn.subplots()
    for number, row in enumerate(evaluation.rows):
        colour, marker = COLOURS.get(row.role, INTERMEDIATE), _MARKERS[number % len(_MARKERS)]
        ran = _ran(row, evaluation, epsilon)
        if row.shrunk:
            axes.plot(*_percent(row.shrunk), "--", color=colour, linewidth=0.9, alpha=0.75)
        if epsilon is None:
            axes.step(
                *_percent(ran),
                where="post",
                color=colour,
                linewidth=1.6,
                label=shorten(_label(row), 56, placeholder=" ..."),
            )
        else:
            (line,) = axes.plot(
                *_percent(ran),
                marker=marker,
                color=colour,
                linewidth=1.6,
                label=shorten(_label(row), 56, placeholder=" ..."),
            )
            line.set(markersize=5, markeredgecolor="none", clip_on=False, zorder=3)
    if any(row.shrunk for row in evaluation.rows):
        axes.plot([], [], "--", color=INTERMEDIATE, linewidth=0.9, label="upper bound: found adversarials, shrunk")
    quiet(axes, x=f"epsilon ({evaluation.threat.partition(':')[0]})", y="accuracy (%)")
    axes.axhline(100 * evaluation.clean_accuracy, color=INK, linewidth=0.8, linestyle=":", label="no attack")
    axes.set_ylim(0, 101)
    axes.set_xlim(left=0)
    if epsilon:
        axes.set_xlim(right=epsilon * 1.02)
    drawn.legend(loc="outside lower left", ncols=2, frameon=False, fontsize=8, labelcolor=INK)
    return drawn


def loss_curves(evaluation: Evaluation) -> Figure | None:
    """Median loss and quartile band over the samples still in play, one panel for each attack that recorded one."""
    traced = [(row, bands) for row in evaluation.rows if (bands := _bands(row)) is not None]
    if not traced:
        return None
    columns = 2 if len(traced) > 1 else 1
    lines = math.ceil(len(traced) / columns)
    drawn = figure(0.4 + 1.85 * lines)
    panels = drawn.subplots(lines, columns, squeeze=False).flatten()
    for axes, (row, (step, low, middle, high)) in zip(panels, traced, strict=False):
        colour = COLOURS.get(row.role, INTERMEDIATE)
        axes.fill_between(step, low, high, color=colour, alpha=0.18, linewidth=0)
        axes.plot(step, middle, color=colour, linewidth=1.4, marker="o" if len(step) == 1 else None, markersize=3)
        quiet(axes, title=_label(row) if columns == 1 else shorten(_label(row), 42, placeholder=" ..."))
        axes.xaxis.get_major_locator().set_params(integer=True)
    for axes in panels[len(traced) :]:
        axes.set_visible(False)
    drawn.supxlabel("evaluation, restarts and targets one after the other", fontsize=8.5, color=INK)
    drawn.supylabel("attacker's loss", fontsize=8.5, color=INK)
    return drawn


def query_histogram(evaluation: Evaluation) -> Figure | None:
    """Forward passes that were spent on each broken sample; only for attacks where these differ."""
    spent = {}
    for row in evaluation.rows:
        success, forwards = row.arrays.get("success"), row.arrays.get("forwards")
        if success is None or forwards is None:
            continue
        counts = np.asarray(forwards)[np.asarray(success, bool)]
        if len(counts) >= 5 and len(np.unique(counts)) >= 3:
            spent[_label(row)] = (row, counts)
    if not spent:
        return None
    everything = np.concatenate([counts for _, counts in spent.values()]).clip(1)
    low, high = float(everything.min()), float(everything.max())
    wide = high / low > 30
    bins = np.geomspace(low, high * 1.001, 25) if wide else np.linspace(low, high * 1.001, 25)
    drawn = figure(0.5 + 1.1 * len(spent))
    panels = drawn.subplots(len(spent), 1, squeeze=False, sharex=True).flatten()
    for axes, (label, (row, counts)) in zip(panels, spent.items(), strict=True):
        axes.hist(counts.clip(1), bins=bins, color=COLOURS.get(row.role, INTERMEDIATE), alpha=0.85, rwidth=0.92)
        quiet(axes, title=label)
        axes.yaxis.get_major_locator().set_params(integer=True, nbins=3)
        if wide:
            axes.set_xscale("log")
    panels[-1].set_xlabel("queries spent on the sample", color=INK, fontsize=8.5)
    drawn.supylabel("broken samples", fontsize=8.5, color=INK)
    return drawn


def _label(row: Row) -> str:
    text = row.name if row.library in ("advplug", "") else f"{row.name} ({row.library})"
    return text.replace("$", r"\$").replace("adversarial-robustness-toolbox", "ART")


def _ran(row: Row, evaluation: Evaluation, epsilon: float | None) -> Points:
    """What the attack itself left at each budget: its sweep or its one budget; for minimum norm, at every distance."""
    if epsilon is not None:
        return row.sweep or ((epsilon, row.robust_accuracy),)
    distance = row.arrays.get("distance")
    if distance is None or not np.isfinite(distance).any():
        return ()
    found = np.sort(distance[np.isfinite(distance)])
    left = evaluation.clean_accuracy - np.arange(1, len(found) + 1) / max(1, evaluation.samples)
    return ((0.0, evaluation.clean_accuracy), *zip(found.tolist(), left.clip(0).tolist(), strict=True))


def _percent(points: Points) -> tuple[list[float], list[float]]:
    return [epsilon for epsilon, _ in points], [100 * accuracy for _, accuracy in points]


def _bands(row: Row) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]] | None:
    """Evaluation number, and lower quartile, median and upper quartile of the loss; None for fewer than two points."""
    trace = row.arrays.get("trace")
    if trace is None or np.ndim(trace) != 2:
        return None
    trace = np.where(np.isfinite(trace), trace, np.nan).astype(np.float64)
    step = np.flatnonzero(np.isfinite(trace).any(axis=1))  # nanquantile warns about rows without a number
    if len(step) < 2:  # another library's attack shows only its end
        return None
    step = step[np.unique(np.linspace(0, len(step) - 1, min(len(step), _MOST_POINTS)).astype(int))]
    low, middle, high = np.nanquantile(trace[step], (0.25, 0.5, 0.75), axis=1)
    return step, low, middle, high
