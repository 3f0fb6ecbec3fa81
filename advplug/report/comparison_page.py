"""The comparison of runs as a page, and as lines of text."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from advplug.evaluation.diagnostics.signs import percent
from advplug.numerics.written_numbers import written as number_as_written
from advplug.records.evaluation import Evaluation
from advplug.report.comparison import Comparison, Line, Paired
from advplug.report.curves import percents, points_of
from advplug.report.looks import Look, numbered
from advplug.report.page import shown
from advplug.report.picture import Picture, listed
from advplug.report.style import INK, figure, quiet
from advplug.report.templates import filled, written

TITLE = "Accuracy against budget"


def write_comparison(comparison: Comparison, path: Path) -> Path:
    """Write the page to ``path`` and return where it is."""
    return written(render(comparison), path)


def render(comparison: Comparison) -> str:
    """The page as HTML."""
    own = numbered(len(comparison.names))
    return filled(
        "comparison.html.j2",
        title=f"{' against '.join(comparison.names)}",
        comparison=comparison,
        looks=own,
        verdict=verdict(comparison),
        lines=[(line.name, list(zip(accuracies(line), pairs(line), strict=True))) for line in comparison.lines],
        picture=shown(curves(comparison)),
    )


def verdict(comparison: Comparison) -> str:
    """In a few sentences: whether the runs compare, and what each leaves beside the first."""
    total = comparison.evaluations[0].samples
    said = "The runs attacked the same samples."
    if not comparison.same_samples:
        shared = ", ".join(
            f"{name} {common} of {run.samples}"
            for name, common, run in zip(
                comparison.names[1:], comparison.common[1:], comparison.evaluations[1:], strict=True
            )
        )
        said = f"The runs did not attack the same samples; of those of {comparison.names[0]} ({total}) hold: {shared}."
    apart = [one.name for one in comparison.differences if one.name in ("model", "threat model", "seed", "attacks")]
    if apart:
        said += f" They differ in {', '.join(apart)}."
    last = comparison.lines[-1]
    for name, accuracy, pair in list(zip(comparison.names, last.accuracies, last.paired, strict=True))[1:]:
        if accuracy is not None and last.accuracies[0] is not None:
            said += (
                f" All attacks together leave {percent(accuracy)} in {name} and {percent(last.accuracies[0])} in "
                f"{comparison.names[0]}{_told(pair, name, comparison.names[0])}."
            )
    return said


def pairs(line: Line) -> list[str]:
    """For each run but the first: the difference in points, and the samples that fell in one of the two alone."""
    found = [""]
    for difference, pair in list(zip(line.differences, line.paired, strict=True))[1:]:
        parts = [] if difference is None else [f"{100 * difference:+.1f} points"]
        parts += [] if pair is None else [f"{pair.lost_here} lost here alone, {pair.lost_there} there alone"]
        parts += [] if pair is None else [f"p = {pair.p:.2g}"]
        found.append(", ".join(parts))
    return found


def curves(comparison: Comparison) -> Picture:
    """What all attacks of each run leave together, one panel for each norm."""
    norms: dict[str, list[int]] = {}
    for number, run in enumerate(comparison.evaluations):
        if points_of(run):
            norms.setdefault(run.threat.partition(":")[0], []).append(number)
    if not norms:
        return Picture(TITLE, "No run recorded an accuracy at any budget.")
    own = numbered(len(comparison.names))
    drawn = figure(3.2)
    for axes, (norm, numbers) in zip(
        drawn.subplots(1, len(norms), squeeze=False, sharey=True).flatten(), norms.items(), strict=True
    ):
        for number in numbers:
            _draw(axes, comparison.evaluations[number], own[number], comparison.names[number])
        quiet(axes, x=f"epsilon ({norm})", y="accuracy (%)" if norm == next(iter(norms)) else "")
        axes.set_ylim(0, 101)
        axes.set_xlim(left=0)
    drawn.legend(loc="outside lower left", ncols=2, frameon=False, fontsize=8, labelcolor=INK)
    clauses = (
        f"{comparison.names[number]} under {norm} from {percent(points[0][1])} to {percent(points[-1][1])} at "
        f"{number_as_written(points[-1][0], digits=4)}"
        for norm, number in chain.from_iterable(
            ((norm, number) for number in numbers) for norm, numbers in norms.items()
        )
        for points in [points_of(comparison.evaluations[number])]
    )
    caption = (
        "All attacks of a run together: each sample counts as the attack that was best on it left it. Markers stand "
        "where the attacks ran; a dotted line joins a single budget to none, and says nothing of those between."
    )
    return Picture(TITLE, caption, drawn, f"Accuracy against budget, one line for each run. {listed(clauses)}")


def _draw(axes: Axes, run: Evaluation, look: Look, name: str) -> None:
    points, stairs = points_of(run), run.epsilon is None
    style: dict[str, Any] = {"color": look.colour, "lw": 1.6, "label": name.replace("$", r"\$")[:56]}
    if stairs:
        style["drawstyle"] = "steps-post"
    else:
        style |= {"marker": look.marker, "mew": 0, "linestyle": "-" if len(points) > 2 else ":"}
    axes.plot(*percents(points), **style)


def accuracies(line: Line) -> list[str]:
    """The accuracy in each run, "" where a run does not hold the attack."""
    return ["" if accuracy is None else percent(accuracy) for accuracy in line.accuracies]


def _told(pair: Paired | None, here: str, there: str) -> str:
    if pair is None:
        return ""
    return (
        f"; of {pair.samples} common samples {pair.lost_here} fell in {here} alone and {pair.lost_there} in {there} "
        f"alone (exact McNemar test, p = {pair.p:.2g})"
    )
