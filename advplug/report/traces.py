"""The attacker's loss: over the evaluations of each stage, and from restart to restart."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from advplug.evaluation.diagnostics.signs import percent
from advplug.records.evaluation import Evaluation, Row
from advplug.report.looks import Look, looks
from advplug.report.picture import Picture, label, listed, name
from advplug.report.style import GRID, INK, figure, quiet

_MOST_POINTS, _IN_ALL = 400, 2400  # curves of more points, each and together, look the same and make the page heavy

LOSS, RESTARTS = "Loss over evaluations", "Loss over restarts"


@dataclass(frozen=True)
class Segment:
    """The loss of one stage of an attack; ``stage`` is "" for an attack without stages.

    ``trace`` float64 (T, N), NaN where a sample had left; ``restarts`` the numbers of evaluations in each restart.
    """

    row: Row
    look: Look
    stage: str
    trace: NDArray[np.float64]
    restarts: tuple[int, ...]

    @property
    def name(self) -> str:
        """Attack and stage."""
        return name(self.row) + (f", {self.stage}" if self.stage else "")


def loss_curves(evaluation: Evaluation) -> Picture:
    """Median loss and quartile band over the samples still in play, one panel for each attack and stage."""
    traced = [(segment, bands) for segment in segments(evaluation) if (bands := _course_of(segment)) is not None]
    if not traced:
        return Picture(LOSS, "No attack recorded its loss." + _unsplit(evaluation))
    columns = 2 if len(traced) > 1 else 1
    lines = math.ceil(len(traced) / columns)
    drawn = figure(0.4 + 1.85 * lines)
    panels = drawn.subplots(lines, columns, squeeze=False).flatten()
    most = min(_MOST_POINTS, _IN_ALL // len(traced))
    for axes, (segment, bands) in zip(panels, traced, strict=False):
        step, low, middle, high = _thinned(bands, most)
        colour = segment.look.colour
        for border in np.cumsum([length for length in segment.restarts if length])[:-1]:
            axes.axvline(border - 0.5, color=GRID, linewidth=0.9)
        axes.fill_between(step, low, high, color=colour, alpha=0.18, linewidth=0)
        axes.plot(step, middle, color=colour, linewidth=1.4, marker="o" if len(step) == 1 else None, markersize=3)
        quiet(axes, title=_title(segment, 30 if columns > 1 else None))
        axes.xaxis.get_major_locator().set_params(integer=True)
    for axes in panels[len(traced) :]:
        axes.set_visible(False)
    drawn.supxlabel("evaluation, restarts and targets one after the other", fontsize=8.5, color=INK)
    drawn.supylabel("attacker's loss", fontsize=8.5, color=INK)
    caption = (
        "Median and quartiles over the samples still in play; lower is better for the attacker. Each stage has its own "
        "panel and its own loss: heights of different panels do not compare. Vertical lines separate restarts. Samples "
        "leave when they are broken, so the median of those that stay may rise."
    ) + _unsplit(evaluation)
    clauses = (f"{segment.name}: {_course(*bands)}" for segment, bands in traced)
    return Picture(LOSS, caption, drawn, f"Median loss of {len(traced)} attacks or stages. {listed(clauses)}")


def _title(segment: Segment, width: int | None) -> str:
    """Attack and stage above a panel, the attack cut to ``width`` characters."""
    return label(segment.row, width) + (f", {segment.stage}" if segment.stage else "")


def restart_curves(evaluation: Evaluation) -> Picture:
    """What each further restart gained: the accuracy after it, and in a panel for each stage its least loss."""
    rows = [(row, look) for row, look in zip(evaluation.rows, looks(evaluation), strict=True) if planned(row) > 1]
    if not rows:
        return Picture(RESTARTS, "Every attack started once: nothing is known of what further starts would break.")
    best = [(segment, _least(segment)) for segment in segments(evaluation) if planned(segment.row) > 1]
    best = [(segment, values) for segment, values in best if np.isfinite(values).sum() > 1]
    lines = math.ceil((1 + len(best)) / 2)
    drawn = figure(0.65 + 1.85 * lines)
    panels = drawn.subplots(lines, 2 if best else 1, squeeze=False).flatten()
    for row, look in rows:
        after = accuracy_after(row)
        style = {"color": look.colour, "marker": look.marker, "mew": 0, "lw": 1.4}
        panels[0].plot(range(1, len(after) + 1), 100 * after, label=label(row, 40), **style)
    quiet(panels[0], title="accuracy after the restart (%)")
    for axes, (segment, values) in zip(panels[1:], best, strict=False):
        style = {"color": segment.look.colour, "marker": segment.look.marker, "mew": 0, "lw": 1.4}
        axes.plot(range(1, len(values) + 1), values, **style)
        quiet(axes, title=f"least loss, {_title(segment, 28)}")
    for axes in panels[: 1 + len(best)]:
        axes.xaxis.get_major_locator().set_params(integer=True)
    for axes in panels[1 + len(best) :]:
        axes.set_visible(False)
    drawn.supxlabel("restart", fontsize=8.5, color=INK)
    drawn.legend(loc="outside lower left", ncols=3, frameon=False, fontsize=8, labelcolor=INK)
    caption = (
        "What each attack left after each of its restarts"
        + (", and the least loss in each, the median of the samples attacked. " if best else ". ")
        + ("Each stage has its own panel: losses of different panels do not compare. " if best else "")
        + "Later restarts attack only what stands, so the least loss may rise. An accuracy that still falls at the "
        "last restart says that more restarts would break more."
    )
    clauses = (
        f"{name(row)}: {percent(accuracy_after(row)[0])} after the first start, "
        f"{percent(accuracy_after(row)[-1])} after {planned(row)}"
        for row, _ in rows
    )
    return Picture(RESTARTS, caption, drawn, f"Accuracy after each restart. {listed(clauses)}")


def segments(evaluation: Evaluation) -> Iterator[Segment]:
    """The trace of each row, cut at the borders of its stages; nothing of rows whose borders are not on record."""
    for row, look in zip(evaluation.rows, looks(evaluation), strict=True):
        trace, counts = row.arrays.get("trace"), row.arrays.get("evaluations")
        if trace is None or np.ndim(trace) != 2 or not np.size(trace):
            continue
        trace = np.where(np.isfinite(trace), trace, np.nan).astype(np.float64)
        if counts is None or np.ndim(counts) != 3:
            if not row.stages:
                yield Segment(row, look, "", trace, ())
            continue
        yield from _cut(row, look, trace, np.asarray(counts))


def _cut(row: Row, look: Look, trace: NDArray[np.float64], counts: NDArray[Any]) -> Iterator[Segment]:
    """Samples that were attacked apart have borders of their own: each stage is put together sample by sample."""
    ends = counts.sum(2).cumsum(1)
    for stage in range(counts.shape[1]):
        own = counts[:, stage].max(0)
        table = np.full((int(own.sum()), trace.shape[1]), np.nan)
        for lengths in np.unique(counts.reshape(len(counts), -1), axis=0):
            alike = (counts.reshape(len(counts), -1) == lengths).all(1)
            one = lengths.reshape(counts.shape[1:])
            start = int(ends[alike][0, stage] - one[stage].sum())
            for restart, length in enumerate(one[stage]):
                place = int(own[:restart].sum())
                table[place : place + length, alike] = trace[start : start + length, alike]
                start += length
        title = row.stages[stage][0] if row.stages else ""
        yield Segment(row, look, title, table, tuple(int(length) for length in own))


def planned(row: Row) -> int:
    """How many restarts the attack had."""
    text = row.components.get("restarts", "1")
    return int(text) if text.isdecimal() else 1


def accuracy_after(row: Row) -> NDArray[np.float64]:
    """Share of the samples that are right after each restart."""
    restart, success = row.arrays.get("restart"), row.arrays.get("success")
    if restart is None or success is None:
        return np.full(planned(row), row.robust_accuracy)
    correct = np.asarray(row.arrays.get("correct", np.ones_like(success)), bool)
    broken = [np.asarray(success, bool) & (np.asarray(restart) <= number) for number in range(planned(row))]
    return np.asarray([(correct & ~one).mean() for one in broken], np.float64)


def _least(segment: Segment) -> NDArray[np.float64]:
    """The least loss in each restart, median over the samples that it attacked; NaN where there was none."""
    found, start = [], 0
    for length in segment.restarts[: planned(segment.row)]:
        part = segment.trace[start : start + length]
        part = part[:, np.isfinite(part).any(0)]
        found.append(float(np.median(np.nanmin(part, axis=0))) if part.size else np.nan)
        start += length
    return np.asarray(found, np.float64)


Bands = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]


def _course_of(segment: Segment) -> Bands | None:
    """The bands of a segment; None of attacks of other libraries that show their end alone, in one draw or several."""
    bands = _bands(segment.trace)
    foreign = segment.row.library not in ("advplug", "")
    return None if bands is None or (foreign and all(np.ptp(values) == 0 for values in bands[1:])) else bands


def _thinned(bands: Bands, most: int) -> Bands:
    """At most about so many points, evenly spread, the first and the last among them."""
    chosen = np.unique(np.linspace(0, len(bands[0]) - 1, min(len(bands[0]), max(most, 2))).astype(int))
    step, low, middle, high = (values[chosen] for values in bands)
    return step, low, middle, high


def _bands(trace: NDArray[np.float64]) -> Bands | None:
    """Evaluation number, and lower quartile, median and upper quartile of the loss; None for fewer than two points."""
    step = np.flatnonzero(np.isfinite(trace).any(axis=1))  # nanquantile warns about rows without a number
    if len(step) < 2:  # another library's attack shows only its end
        return None
    low, middle, high = np.nanquantile(trace[step], (0.25, 0.5, 0.75), axis=1)
    return step, low, middle, high


def _course(step: NDArray[Any], _low: object, middle: NDArray[Any], _high: object) -> str:
    return f"from {middle[0]:.3g} to {middle[-1]:.3g} over {int(step[-1]) + 1} evaluations, least {middle.min():.3g}"


def _unsplit(evaluation: Evaluation) -> str:
    """Which attacks are left out because the borders of their stages are not on record."""
    left = (row for row in evaluation.rows if row.stages and "evaluations" not in row.arrays and "trace" in row.arrays)
    names = [name(row) for row in left]
    if not names:
        return ""
    return f" Not drawn: {', '.join(names)}, whose run of an earlier version kept no borders between its stages."
