"""Random models over fresh draws, and detectors at every rate of false alarms."""

from __future__ import annotations

from advplug.evaluation.diagnostics.signs import percent
from advplug.records.evaluation import Evaluation
from advplug.report.looks import looks
from advplug.report.picture import Picture, label, listed, name
from advplug.report.style import INK, figure, quiet

DRAWS, DETECTOR = "Accuracy over fresh draws", "Detection against false alarms"
_KINDS = (("mean", "mean of the draws", 0.24), ("majority", "majority of the draws", 0.0),
          ("worst", "right in every draw", -0.24))  # fmt: skip


def draw_intervals(evaluation: Evaluation) -> Picture:
    """What each attack leaves of a random model, in three ways of counting, with intervals."""
    rows = [(row, look) for row, look in zip(evaluation.rows, looks(evaluation), strict=True) if row.randomised]
    if not rows:
        return Picture(DRAWS, "The model is not random, as far as it says.")
    drawn = figure(0.9 + 0.42 * len(rows))
    axes = drawn.subplots()
    for (kind, _, shift), marker in zip(_KINDS, "oDv", strict=True):
        for place, (row, look) in enumerate(rows):
            low, high = (100 * share for share in row.randomised[f"{kind}_interval"])
            height = len(rows) - 1 - place + shift
            axes.plot([low, high], [height, height], color=look.colour, linewidth=1.6, alpha=0.5)
            axes.plot(100 * row.randomised[kind], height, marker, color=look.colour, markersize=5, mew=0)
    for (_, text, _), marker in zip(_KINDS, "oDv", strict=True):
        axes.plot([], [], marker, color=INK, markersize=5, mew=0, label=text)
    axes.set_yticks(range(len(rows)), [label(row, 34) for row, _ in rows][::-1])
    quiet(axes, x="accuracy (%), with 95 % intervals")
    axes.set_xlim(-2, 102)
    drawn.legend(loc="outside lower left", ncols=3, frameon=False, fontsize=8, labelcolor=INK)
    clauses = (
        f"{name(row)}: {', '.join(f'{text} {percent(row.randomised[kind])}' for kind, text, _ in _KINDS)}"
        for row, _ in rows
    )
    draws = max(int(row.randomised["draws"]) for row, _ in rows)
    caption = (
        f"The adversarials of each attack, judged on {draws} fresh draws of the model. A user who may ask "
        "several times meets the mean; a system that votes, the majority."
    )
    return Picture(DRAWS, caption, drawn, f"Accuracy over {draws} fresh draws. {listed(clauses)}")


def roc_curves(evaluation: Evaluation) -> Picture:
    """The share of each attack's adversarials that the detector rejects, against the clean inputs that it rejects."""
    if evaluation.false_positives is None:
        return Picture(DETECTOR, "The model rejects no input.")
    own = zip(evaluation.rows, looks(evaluation), strict=True)
    rows = [(row, look) for row, look in own if len(row.rejection.get("roc", ())) > 1]
    if not rows:
        return Picture(DETECTOR, "The detector offers no scores, or nothing was misclassified.")
    drawn = figure(3.6)
    axes = drawn.subplots()
    for row, look in rows:
        alarms, caught = zip(*row.rejection["roc"], strict=True)
        shares = ([100 * share for share in alarms], [100 * share for share in caught])
        axes.plot(*shares, color=look.colour, marker=look.marker, markersize=3.5, mew=0, lw=1.4, label=label(row, 40))
    axes.plot([0, 100], [0, 100], ":", color=INK, linewidth=0.8, label="chance")
    quiet(axes, x="clean inputs rejected (%)", y="adversarials rejected (%)")
    axes.set_xlim(-1, 101)
    axes.set_ylim(-1, 101)
    axes.set_aspect("equal")
    drawn.legend(loc="outside right upper", frameon=False, fontsize=8, labelcolor=INK)
    clauses = (
        f"{name(row)}: {percent(row.rejection['joint'])} misclassified and accepted"
        + "".join(f", {percent(share)} at {rate} alarms" for rate, share in row.rejection.get("success_at", {}).items())
        for row, _ in rows
    )
    held_out = rows[0][0].rejection.get("held_out")
    caption = (
        "Each threshold of the detector is a point; the nearer to the upper left, the better the detector. "
        f"False alarms are measured on {rows[0][0].rejection['clean']} "
        + ("clean inputs that were not attacked. " if held_out else "of the attacked inputs themselves, before. ")
        + "The attacks aimed at the threshold in use: one that aims at another would do better there."
    )
    return Picture(DETECTOR, caption, drawn, f"Detection curves. {listed(clauses)}")
