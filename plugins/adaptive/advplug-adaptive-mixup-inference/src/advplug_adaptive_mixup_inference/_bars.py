"""The figure behind the lesson: what each attack leaves, beside what the network keeps without the mixing."""

from __future__ import annotations

from matplotlib.figure import Figure

from advplug.evaluation import Evaluation
from advplug.report import INK, INTERMEDIATE, SHORT, Section, colours, figure, figure_section, quiet

CAPTION = (
    "Robust accuracy under each attack. The line is what PGD leaves of the network without the mixing: the part of a "
    "bar beyond it is what the mixing seems to add."
)


def bars(evaluation: Evaluation) -> list[Section]:
    """The section for the report; none where there is no control to compare with."""
    if evaluation.undefended_accuracy is None:
        return []
    alt = "Bars of robust accuracy under each attack, and a line at that of the network alone."
    return [figure_section("What the mixing adds", drawn(evaluation), alt=alt, caption=CAPTION)]


def drawn(evaluation: Evaluation) -> Figure:
    """A bar for the clean accuracy and for each attack but the control, which is a line."""
    own = zip(evaluation.rows, colours(evaluation), strict=True)
    rows, shades = zip(*((row, colour) for row, colour in own if row.role != "control"), strict=True)
    assert evaluation.undefended_accuracy is not None, "there is a control"
    names = ["no attack", *(f"{row.name} ({SHORT.get(row.library, row.library)})" for row in rows)]
    shares = [evaluation.clean_accuracy, *(row.robust_accuracy for row in rows)]
    found = figure(0.6 + 0.36 * len(names))
    axes = found.subplots()
    axes.barh(names[::-1], [100 * share for share in shares[::-1]], color=[INTERMEDIATE, *shades][::-1], height=0.62)
    alone = 100 * evaluation.undefended_accuracy
    axes.axvline(alone, color=INK, linewidth=1.1, label="the network alone, under PGD-50")
    axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="lower right")
    quiet(axes, x="robust accuracy in percent")
    axes.grid(visible=False)
    return found
