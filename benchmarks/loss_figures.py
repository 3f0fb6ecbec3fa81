"""The figures of loss_study.py from the records that it saved.

python benchmarks/loss_figures.py FOLDER imagenet docs/
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import torch
from loss_study_report import at_hit, complete
from loss_study_runs import LOSSES, PROTOCOLS, STEPS, Record

STYLES = {"CE": ("#0072b2", "-"), "CE-sign": ("#e69f00", "--"), "Logit": ("#009e73", "-."), "M-logit": ("#cc79a7", ":")}
"""Colours that colour-blind readers can tell apart, and lines that print in grey."""

TITLES = {"multiplier": "equal multiplier", "perturbation": "equal perturbation"}


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True))
@click.argument("name")
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
def main(*, folder: Path, name: str, out: Path) -> None:
    """Write losses-NAME-path.png, losses-NAME-gradient.png and losses-NAME-perturbation.png to OUT.

    Protocols that were not run for all losses are left out; paths and gradients are of the pairs that made all steps.
    """
    found = {protocol: rounds(folder, name, protocol) for protocol in PROTOCOLS}
    found = {protocol: records for protocol, records in found.items() if records}
    whole = {protocol: complete(records[0]) for protocol, records in found.items()}
    whole = {protocol: records for protocol, records in whole.items() if records["CE"].target.shape[1]}
    paths(whole, out / f"losses-{name}-path.png")
    gradients(whole, out / f"losses-{name}-gradient.png")
    boxes(found, out / f"losses-{name}-perturbation.png")


def rounds(folder: Path, name: str, protocol: str) -> list[dict[str, Record]]:
    """The records by loss of all rounds that are complete."""
    found: list[dict[str, Record]] = []
    while True:
        files = {loss: folder / f"{name}-{len(found)}-{protocol}-{loss}.pt" for loss in LOSSES}
        if not all(file.exists() for file in files.values()):
            return found
        found.append({loss: Record(**torch.load(file)) for loss, file in files.items()})


def paths(whole: dict[str, dict[str, Record]], file: Path) -> None:
    """Softmax and logit of the class at the start and of the target at each step, means over all pairs."""
    from matplotlib import pyplot

    rows = len(whole)
    figure, axes = pyplot.subplots(
        rows, 2, figsize=(9, 0.4 + 2.8 * rows), sharex=True, squeeze=False, layout="constrained"
    )
    for row, (protocol, records) in zip(axes, whole.items(), strict=True):
        for loss, record in records.items():
            colour, line = STYLES[loss]
            for axis, kinds in zip(row, (("p_target", "p_initial"), ("target", "initial")), strict=True):
                for values, width in zip(kinds, (1.8, 0.8), strict=True):
                    label = loss if width > 1 else None
                    axis.plot(getattr(record, values).mean(1), line, color=colour, linewidth=width, label=label)
        title = f"{TITLES[protocol]}, {record.target.shape[1]} pairs"
        row[0].set(ylabel="softmax, mean", ylim=(-0.02, 1.02), title=title)
        row[1].set(ylabel="logit, mean", title=title)
    for axis in axes[-1]:
        axis.set(xlabel="steps")
    title = "thick: target\nthin: class\nat the start"
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right upper", title=title, fontsize=9)
    figure.savefig(file, dpi=90)


def gradients(whole: dict[str, dict[str, Record]], file: Path) -> None:
    """L1 norm of the gradient at each step: median over the pairs, and their quartiles."""
    from matplotlib import pyplot

    size = (0.6 + 4.2 * len(whole), 3.4)
    figure, axes = pyplot.subplots(1, len(whole), figsize=size, sharey=True, squeeze=False, layout="constrained")
    for axis, (protocol, records) in zip(axes[0], whole.items(), strict=True):
        for loss, record in records.items():
            colour, line = STYLES[loss]
            low, middle, high = record.gradient_l1[:STEPS].quantile(torch.tensor([0.25, 0.5, 0.75]), dim=1)
            axis.semilogy(middle, line, color=colour, label=loss)
            axis.fill_between(range(STEPS), low, high, color=colour, alpha=0.15, linewidth=0)
        axis.set(xlabel="steps", title=f"{TITLES[protocol]}, {record.target.shape[1]} pairs")
    axes[0, 0].set(ylabel="L1 norm of the loss's gradient")
    axes[0, 0].legend(fontsize=8)
    figure.savefig(file, dpi=90)


def boxes(records: dict[str, list[dict[str, Record]]], file: Path) -> None:
    """Perturbation when the target is first the answer, over all rounds, for the pairs that get there."""
    from matplotlib import pyplot

    size = (9, 0.2 + 2.6 * len(records))
    figure, axes = pyplot.subplots(len(records), 2, figsize=size, squeeze=False, layout="constrained")
    for row, (protocol, each) in zip(axes, records.items(), strict=True):
        for axis, norm in zip(row, ("l2", "linf"), strict=True):
            found = [at_hit([one[loss] for one in each], norm) for loss in LOSSES]
            drawn = axis.boxplot(
                [values.numpy() for values in found], widths=0.6, patch_artist=True, medianprops={"color": "black"}
            )
            colour(drawn, axis, found)
            axis.set(title=TITLES[protocol], ylabel=f"{norm.capitalize()} norm, inputs in [0, 1]")
    figure.savefig(file, dpi=90)


def colour(drawn: Any, axis: Any, found: list[torch.Tensor]) -> None:
    """Give each box the colour of its loss, and its name with the number of pairs below."""
    for box, (shade, _) in zip(drawn["boxes"], STYLES.values(), strict=True):
        box.set(facecolor=shade, alpha=0.6)
    labels = [f"{loss}\n({len(values)})" for loss, values in zip(LOSSES, found, strict=True)]
    axis.set_xticks(range(1, len(labels) + 1), labels)


if __name__ == "__main__":
    main()
