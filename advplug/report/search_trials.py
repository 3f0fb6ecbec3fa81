"""The trials of a search as a figure: what each broke, on how many samples, with which gradient."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from advplug.evaluation.diagnostics.signs import percent
from advplug.records.composition import Composition, Trial
from advplug.report.looks import numbered
from advplug.report.picture import Picture, listed
from advplug.report.style import GRID, INK, INTERMEDIATE, PALETTE, figure, quiet

TITLE = "Trials"
OTHER = "other gradients"

_CAPTION = (
    "Each mark is one sentence on some of the samples that the sentences before left: its colour is the gradient, its "
    "shape the number of samples, so that shares of different shapes do not compare. The line is the best so far among "
    "the trials on the most samples so far; it falls where the search goes on to more samples."
)
_SEQUENCE = " Vertical lines separate the searches for the first, second and third sentence."


def trials_picture(search: Composition) -> Picture:
    """The figure with its words."""
    if not search.trials:
        return Picture(TITLE, "No sentence was tried: standard left nothing to search for.")
    colours, markers = gradients(search.trials), rungs(search.trials)
    drawn = figure(3.6)
    axes = drawn.subplots()
    parts = [list(part) for _, part in groupby(search.trials, key=lambda one: one.part)]
    for part in parts:
        axes.step(*zip(*best_so_far(part), strict=True), where="post", color=INK, linewidth=0.9, zorder=1.5)
    for before in parts[1:]:
        axes.axvline(before[0].number - 0.5, color=GRID, linewidth=1.2)
    for one in search.trials:
        _mark(axes, one, colours, markers)
    quiet(axes, x="trial", y="broken (%)")
    axes.set_ylim(-3, 103)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    key = list(_key(colours, markers))
    drawn.legend(handles=key, loc="outside lower left", ncols=2, frameon=False, fontsize=8, labelcolor=INK)
    return Picture(TITLE, _CAPTION + (_SEQUENCE if len(parts) > 1 else ""), drawn, _alt(parts))


def gradients(trials: tuple[Trial, ...]) -> dict[str, str]:
    """The colour of each gradient, in the order of their first trials; those after the last colour share one."""
    names = list(dict.fromkeys(one.sentence.gradient for one in trials))
    own = [colour for colour in PALETTE if colour != INTERMEDIATE]
    return {name: own[place] if place < len(own) else INTERMEDIATE for place, name in enumerate(names)}


def rungs(trials: tuple[Trial, ...]) -> dict[int, str]:
    """The marker of each number of samples, fewest first."""
    counts = sorted({one.samples for one in trials})
    return {count: look.marker for count, look in zip(counts, numbered(len(counts)), strict=True)}


def best_so_far(part: list[Trial]) -> list[tuple[int, float]]:
    """Pairs (trial, best share in per cent) among the trials on the most samples up to there."""
    found: list[tuple[int, float]] = []
    most, best = 0, 0.0
    for one in part:
        if one.samples > most:
            most, best = one.samples, one.broken
        elif one.samples == most:
            best = max(best, one.broken)
        found.append((one.number, 100 * best))
    return found


def _mark(axes: Axes, one: Trial, colours: dict[str, str], markers: dict[int, str]) -> None:
    axes.plot(
        one.number, 100 * one.broken, markers[one.samples], color=colours[one.sentence.gradient], ms=6, mew=0, zorder=3
    )


def _key(colours: dict[str, str], markers: dict[int, str]) -> Iterator[Line2D]:
    """What the colours and the shapes mean."""
    for name, colour in colours.items():
        if colour != INTERMEDIATE:
            yield Line2D([], [], marker="s", linestyle="", color=colour, mew=0, ms=6, label=_short(name))
    if INTERMEDIATE in colours.values():
        yield Line2D([], [], marker="s", linestyle="", color=INTERMEDIATE, mew=0, ms=6, label=OTHER)
    for count, marker in markers.items():
        label = f"{count} sample{'s' * (count != 1)}"
        yield Line2D([], [], marker=marker, linestyle="", color=INK, mew=0, ms=6, label=label)


def _short(name: str) -> str:
    text = name if len(name) <= 44 else f"{name[:40]} ..."
    return text.replace("$", r"\$")


def _alt(parts: list[list[Trial]]) -> str:
    clauses = []
    for part in parts:
        best = max(part, key=lambda one: (one.samples, one.broken, -one.margin))
        clauses.append(
            f"sentence {best.part}, trials {part[0].number} to {part[-1].number}: the best on {best.samples} samples "
            f"is trial {best.number}, which broke {percent(best.broken)} ({best.sentence})"
        )
    return f"Share broken by each of {sum(map(len, parts))} trials. {listed(clauses)}"
