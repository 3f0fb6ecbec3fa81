"""Security curves: robust accuracy against the budget, of each attack and of all together."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from advplug.evaluation.diagnostics.signs import percent
from advplug.numerics.written_numbers import written
from advplug.records.evaluation import Evaluation, Row
from advplug.report import together
from advplug.report.looks import Look, looks
from advplug.report.picture import Picture, label, listed, name
from advplug.report.style import INK, INTERMEDIATE, figure, quiet
from advplug.report.summary import strongest

Points = tuple[tuple[float, float], ...]

TITLE = "Accuracy against budget"
_MEASURED = 3
"""Points of a curve that is known between no budget and the largest."""
_CAPTION = {
    False: "Markers: the attack was run with that budget. ",
    True: (
        "Each attack at every distance at once: a sample counts as broken from the distance of its perturbation on. "
        "The marker of an attack is at the median of its distances. "
    ),
}
_ALL = "Broad and grey: each sample counts as the attack that was best on it left it; the defense keeps at most that. "
_SHRUNK = (
    "Thin dashes: the adversarials found were drawn back towards their clean inputs and judged again. The accuracy of "
    "the model at that budget is at most so high; a run of the attack at that budget may leave more, or less."
)


def security_curve(evaluation: Evaluation) -> Picture:
    """The curves of one evaluation, which has one norm."""
    ran = [_ran(row, evaluation) for row in evaluation.rows]
    if not any(ran):
        return Picture(TITLE, "No attack recorded an accuracy at any budget.")
    drawn = figure(3.5)
    axes = drawn.subplots()
    whole = together.curve(evaluation)
    for row, look, points in zip(evaluation.rows, looks(evaluation), ran, strict=True):
        _draw(axes, row, look, points, stairs=evaluation.epsilon is None)
    if whole:
        _draw_whole(axes, whole, stairs=evaluation.epsilon is None)
    _finish(axes, evaluation, max(budget for budget, _ in chain(*ran)))
    drawn.legend(loc="outside lower left", ncols=2, frameon=False, fontsize=8, labelcolor=INK)
    caption = _CAPTION[evaluation.epsilon is None] + (_ALL if whole else "")
    caption += _SHRUNK if any(row.shrunk for row in evaluation.rows) else ""
    return Picture(TITLE, caption.strip(), drawn, _alt(evaluation, whole))


def points_of(evaluation: Evaluation) -> Points:
    """The curve of all attacks together, or of the strongest where there is one alone; empty without an attack."""
    best = strongest(evaluation)
    alone = () if best is None else _ran(best, evaluation)
    start = () if alone and alone[0][0] == 0 else ((0.0, evaluation.clean_accuracy),)
    return together.curve(evaluation) or (alone and (*start, *alone))


def percents(points: Points) -> tuple[list[float], list[float]]:
    """Budgets, and accuracies in per cent."""
    return [budget for budget, _ in points], [100 * accuracy for _, accuracy in points]


def _draw(axes: Axes, row: Row, look: Look, points: Points, *, stairs: bool) -> None:
    if row.shrunk:
        axes.plot(*percents(row.shrunk), "--", color=look.colour, linewidth=0.9, alpha=0.75)
    style: dict[str, Any] = {"drawstyle": "steps-post", "markevery": [len(points) // 2]} if stairs and points else {}
    (line,) = axes.plot(*percents(points), color=look.colour, linewidth=1.5, label=label(row, 56), **style)
    line.set(marker=look.marker, markersize=5.5, markeredgecolor="none", clip_on=False, zorder=3)


def _draw_whole(axes: Axes, points: Points, *, stairs: bool) -> None:
    """A broad band behind the lines; a disk where the attacks ran at one budget, since nothing is known between."""
    if len(points) < _MEASURED and not stairs:
        axes.plot(*percents(points[-1:]), "o", color=INK, ms=15, mew=0, alpha=0.25, label=together.NAME, clip_on=False)
        return
    kind = "steps-post" if stairs else "default"
    axes.plot(*percents(points), color=INK, linewidth=7, alpha=0.25, zorder=1.5, label=together.NAME, drawstyle=kind)


def _finish(axes: Axes, evaluation: Evaluation, highest: float) -> None:
    if any(row.shrunk for row in evaluation.rows):
        axes.plot([], [], "--", color=INTERMEDIATE, linewidth=0.9, label="at most: found adversarials, drawn back")
    quiet(axes, x=f"epsilon ({evaluation.threat.partition(':')[0]})", y="accuracy (%)")
    axes.axhline(100 * evaluation.clean_accuracy, color=INK, linewidth=0.8, linestyle=":", label="no attack")
    axes.set_ylim(0, 101)
    axes.set_xlim(0, (evaluation.epsilon or highest) * 1.02 or 1)


def _alt(evaluation: Evaluation, whole: Points) -> str:
    norm, epsilon = evaluation.threat.partition(":")[0], evaluation.epsilon
    clean = percent(evaluation.clean_accuracy)
    start = f"Line chart of accuracy against the {norm} budget. Without an attack {clean}. "
    if epsilon is None:
        rows = (row for row in evaluation.rows if row.median_distance is not None)
        clauses = [f"half of the perturbations of {name(row)} are within {row.median_distance:.4g}" for row in rows]
        return start + listed(clauses or ["no attack found a perturbation"])
    clauses = [f"{name(row)} {', '.join(_at(point) for point in _ran(row, evaluation))}" for row in evaluation.rows]
    if whole:
        clauses.append(f"all together, per sample, {_at(whole[-1])}")
    return start + listed(clauses)


def _at(point: tuple[float, float]) -> str:
    return f"{percent(point[1])} at {written(point[0], digits=4)}"


def _ran(row: Row, evaluation: Evaluation) -> Points:
    """What the attack itself left at each budget: its sweep or its one budget; for minimum norm, at every distance."""
    if evaluation.epsilon is not None:
        return row.sweep or ((evaluation.epsilon, row.robust_accuracy),)
    distance = row.arrays.get("distance")
    if distance is None or not np.isfinite(distance).any():
        return ()
    return together.staircase(np.asarray(distance), evaluation.clean_accuracy)
