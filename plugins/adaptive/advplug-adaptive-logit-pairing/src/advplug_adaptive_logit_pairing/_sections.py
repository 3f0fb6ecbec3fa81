"""The figures of the report: loss surfaces, and histograms of the losses that restarts reach."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure
from torch import Tensor

from advplug.evaluation import Evaluation
from advplug.report import ADAPTIVE, BASELINE, INTERMEDIATE, Section, figure, figure_section, quiet, rebuilt
from advplug_adaptive_logit_pairing._adaptive import CIFAR, MNIST
from advplug_adaptive_logit_pairing._measures import CERTAIN, correct, restarts, surface, undecided

SHOWN, TRIED, RUNS = 4, 16, 50
SURFACES = (
    "Cross-entropy on a plane through an image, spanned by two random sign vectors up to the budget, for the first "
    "samples that both networks get right: above the shipped network, below the same under adversarial training. A "
    "plane that rises to several sides, or hardly at all in the middle, leads small steps astray."
)
HISTOGRAMS = (
    f"Cross-entropy at the end of {RUNS} runs of PGD with large steps, in orange for the runs that succeed. Of the "
    f"first {TRIED} samples that the network gets right, those come first that some of the runs break and others do "
    "not. Beyond the line, at ln 10, success is certain."
)


def sections(evaluation: Evaluation) -> list[Section]:
    """Both sections; none where the preset has no weights, or the run has no budget."""
    preset = evaluation.preset or ""
    control = f"{preset.partition('-')[0]}-at100"
    found, trained = (rebuilt(evaluation, "logit-pairing", name) for name in (preset, control))
    epsilon = evaluation.epsilon
    if found is None or trained is None or epsilon is None:
        return []
    model, inputs, labels = found
    rows = correct(model, inputs, labels)
    both = rows[torch.isin(rows, correct(*trained))][:SHOWN]
    planes = {
        title: [surface(shown, inputs[row], labels[row], epsilon) for row in both]
        for title, shown in ((preset, model), (control, trained.model))
    }
    steps, step = (CIFAR if preset.startswith("cifar10") else MNIST).long
    rows = rows[:TRIED]
    losses, broken = restarts(model, inputs[rows], labels[rows], epsilon, steps=steps, step=step, runs=RUNS)
    first = undecided(broken)[:SHOWN]
    return [
        figure_section(
            "Loss surfaces",
            surfaces(planes),
            alt="Surfaces of the loss around images, one pair a column.",
            caption=SURFACES,
        ),
        figure_section(
            "Losses over restarts",
            histograms(losses[first], broken[first]),
            alt="Histograms of the loss at the end of runs of PGD.",
            caption=HISTOGRAMS,
        ),
    ]


def surfaces(planes: dict[str, list[Tensor]]) -> Figure:
    """A row of surfaces for each network; its name stands at the left."""
    drawn = figure(1.8 * len(planes))
    count = max(len(row) for row in planes.values())
    for place, (title, row) in enumerate(planes.items()):
        for column, plane in enumerate(row):
            axes = drawn.add_subplot(len(planes), count, place * count + column + 1, projection="3d")
            lines = torch.linspace(-1, 1, len(plane))
            x, y = torch.meshgrid(lines, lines, indexing="ij")
            axes.plot_surface(x.numpy(), y.numpy(), plane.numpy(), cmap="viridis", linewidth=0, antialiased=False)
            axes.patch.set_alpha(0)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.tick_params(labelsize=6, pad=-3, colors=INTERMEDIATE)
            if column == 0:
                axes.set_title(title, fontsize=8.5, loc="left", color=INTERMEDIATE)
    return drawn


def histograms(losses: Tensor, broken: Tensor) -> Figure:
    """One histogram for each sample of ``losses`` (n, runs), the runs of ``broken``, bool (n, runs), on top."""
    drawn = figure(1.9)
    for place, (values, won) in enumerate(zip(losses, broken, strict=True)):
        axes = drawn.add_subplot(1, len(losses), place + 1)
        parts = [values[~won].numpy(), values[won].numpy()]
        axes.hist(
            parts, 30, range=(0, max(1.3 * CERTAIN, values.max().item())), stacked=True, color=[BASELINE, ADAPTIVE]
        )
        axes.axvline(CERTAIN, color=INTERMEDIATE, linewidth=1)
        quiet(axes, title=f"{int(won.sum())} of {len(won)} succeed", x="cross-entropy", y="" if place else "runs")
    return drawn
