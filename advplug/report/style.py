"""The look of the figures, and how they get into the page."""

from __future__ import annotations

import base64
import io
import re

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK, GRID = "#1f2329", "#dfe2e6"
BASELINE, INTERMEDIATE, ADAPTIVE = "#0072b2", "#7a7f87", "#d55e00"
COLOURS = {"baseline": BASELINE, "intermediate": INTERMEDIATE, "adaptive": ADAPTIVE}
"""Blue and vermilion of Okabe and Ito's palette, which colour-blind readers tell apart."""

PALETTE = {
    BASELINE: "#56b4e9", ADAPTIVE: "#f0813a", "#9b4fe0": "#a35cf5", "#0f8f6b": "#7fe0b0", "#6b1230": "#a0584f",
    "#23127e": "#f5e663", INTERMEDIATE: "#9aa1ab", "#5c3f00": "#c39a6b", "#7118ff": "#177598",
}  # fmt: skip
"""Colours of attacks on light paper, and what they are on dark paper; readers of any colour vision tell them apart."""

PAPER = ("#ffffff", "#14171b")
"""Light and dark."""

_DARK = {INK: "#e4e7eb", GRID: "#353a42", **PALETTE}
_FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"
WIDTH = 7.0  # inches; the page scales the figure, so this sets how large its letters are beside it


def figure(height: float) -> Figure:
    """An empty transparent figure with its own canvas; pyplot, and its global state, stay out of it."""
    empty = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(empty)
    empty.patch.set_alpha(0)
    return empty


def quiet(axes: Axes, *, title: str = "", x: str = "", y: str = "") -> None:
    """Thin axes, a light horizontal grid, small letters."""
    axes.set_facecolor("none")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRID)
    axes.grid(axis="y", color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", colors=INK, length=0, labelsize=8)
    axes.set_xlabel(x, color=INK, fontsize=8.5)
    axes.set_ylabel(y, color=INK, fontsize=8.5)
    axes.set_title(title, color=INK, fontsize=8.5, loc="left")


def data_uri(drawn: Figure) -> str:
    """The figure as an SVG image in a ``data:`` URI; its ink follows the reader's light or dark colour scheme."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "advplug"}):
        # The resolution is that of images inside; an absent date keeps the same figure the same file.
        drawn.savefig(buffer, format="svg", dpi=216, metadata={"Date": None, "Creator": None})
    return "data:image/svg+xml;base64," + base64.b64encode(_themed(buffer.getvalue()).encode()).decode()


def _themed(svg: str) -> str:
    """Colours become CSS variables, and the letters those of the page."""
    names = {colour: f"--c{number}" for number, colour in enumerate(_DARK)}
    for colour, name in names.items():
        svg = re.sub(f"(?<=[: ]){colour}", f"var({name})", svg, flags=re.IGNORECASE)
    svg = re.sub(r"'DejaVu Sans'[^;\"]*", _FONT, svg)
    light = "".join(f"{name}:{colour};" for colour, name in names.items())
    dark = "".join(f"{names[colour]}:{shade};" for colour, shade in _DARK.items())
    sheet = f"<style>:root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}</style>"
    return re.sub(r"(<svg[^>]*>)", lambda match: match[1] + sheet, svg, count=1)
