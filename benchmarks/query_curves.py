"""Curves over the number of queries, from the rows of decision.py or score.py: one panel for each network and norm.

python benchmarks/query_curves.py ROWS.json OUT.png

Ours are thick, Foolbox's dashed, ART's dotted, those of torchattacks dash-dotted.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

Row = dict[str, Any]
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe and Ito's palette: an attack has the same colour in every library."""

LINES = {"advplug": "-", "foolbox": "--", "ART": ":", "torchattacks": "-."}


@click.command()
@click.argument("rows", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False))
def main(*, rows: Path, out: Path) -> None:
    """Draw ROWS to OUT."""
    draw(json.loads(rows.read_text(encoding="utf-8")), out)


def draw(rows: list[Row], out: Path) -> None:
    """One panel for each network and norm; distances on a logarithmic axis, robust accuracy on a linear one."""
    from matplotlib import pyplot

    cases = list(dict.fromkeys((row["network"], row["norm"]) for row in rows))
    methods = list(dict.fromkeys(method(row) for row in rows))
    columns = min(2, len(cases))
    lines = -(-len(cases) // columns)
    figure, axes = pyplot.subplots(
        lines, columns, figsize=(5.5 * columns, 3.4 * lines), squeeze=False, layout="constrained"
    )
    for axis, case in zip(axes.flat, cases, strict=False):
        for row in rows:
            if (row["network"], row["norm"]) == case:
                ours = row["library"] == "advplug"
                after = {int(key): value for key, value in row.items() if key.isdigit()}
                colour = COLOURS[methods.index(method(row)) % len(COLOURS)]
                style = {"color": colour, "linestyle": LINES[row["library"]], "linewidth": 2.2 if ours else 1.2}
                axis.plot(list(after), list(after.values()), label=f"{row['library']} {row['attack']}", **style)
        distances = "robust" not in rows[0]
        axis.set(xscale="log", yscale="log" if distances else "linear", title=f"{case[0]}, {case[1]}", xlabel="queries")
        axis.set_ylabel("median distance" if distances else "robust accuracy, %")
        axis.legend(fontsize=6, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter("{x:g}")
        axis.tick_params(which="both", labelsize=7)
    for axis in axes.flat[len(cases) :]:
        axis.set_axis_off()
    figure.savefig(out, dpi=110)


def method(row: Row) -> str:
    """The method, by whatever name its library calls it: ART's HopSkipJump and Foolbox's are hopskipjump."""
    plain = str(row["attack"]).lower().replace("-", "").removesuffix("attack")
    return "onepixel" if plain == "pixel" else plain


if __name__ == "__main__":
    main()
