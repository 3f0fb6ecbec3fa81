"""The figure behind the lesson: what the tests say at every point of the way to an adversarial image."""

from __future__ import annotations

from typing import cast

import torch
from advplug_defense_weakness_strength import WeaknessStrength
from matplotlib.figure import Figure
from torch import Tensor

from advplug.evaluation import Evaluation
from advplug.report import ADAPTIVE, BASELINE, GRID, INK, INTERMEDIATE, Section, figure, figure_section, quiet, rebuilt
from advplug.training import Adversary

POINTS, SAMPLES = 51, 40
ANSWERS = {
    "still the own class": GRID,
    "passes": ADAPTIVE,
    "moves under noise": INTERMEDIATE,
    "too many steps": BASELINE,
}
CAPTION = (
    "The way from clean images (left) to those of PGD with 40 steps (right), for the first samples that are classified "
    "right: at each point the share of the samples that keep their class, that pass every test, that fail the test "
    "with noise, and that pass it but are too far from another class. Most pass somewhere, each at its own place."
)


def way(evaluation: Evaluation) -> list[Section]:
    """The section for the report; none where the preset ships no weights, or the run has no budget."""
    found = rebuilt(evaluation, "weakness-strength")
    epsilon = evaluation.epsilon
    if found is None or epsilon is None:
        return []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        given = answers(cast(WeaknessStrength, found.model), found.inputs, found.labels, epsilon)
    alt = "Stacked areas along the way: own class, then failing the noise test, then passing, then too many steps."
    return [figure_section("Between the two tests", drawn(given), alt=alt, caption=CAPTION)]


def answers(model: WeaknessStrength, inputs: Tensor, labels: Tensor, epsilon: float) -> Tensor:
    """Which of ``ANSWERS`` each of the first correct samples gets along its way, int64 (POINTS, at most SAMPLES)."""
    with torch.no_grad():
        first = (model(inputs).argmax(1) == labels).nonzero().squeeze(1)[:SAMPLES]
    x, y = inputs[first], labels[first]
    pgd = Adversary(epsilon=epsilon, step_size=epsilon / 30, steps=40)
    far = pgd(model, x, y, torch.Generator().manual_seed(0))
    rows = []
    for share in torch.linspace(0, 1, POINTS).tolist():
        point = x + share * (far - x)
        with torch.no_grad():
            own = model(point).argmax(1) == y
        over = model.detector_scores(point) > model.thresholds
        answer = torch.where(over[:, 1:].any(1), 3, 1)
        answer = torch.where(over[:, 0], 2, answer)
        rows.append(torch.where(own, 0, answer))
    return torch.stack(rows)


def drawn(found: Tensor) -> Figure:
    """Stacked shares of the answers along the way."""
    page = figure(2.8)
    axes = page.subplots()
    shares = [(found == number).double().mean(1).numpy() for number in (0, 2, 1, 3)]
    names = list(ANSWERS)
    order = [names[number] for number in (0, 2, 1, 3)]
    axes.stackplot(
        torch.linspace(0, 1, POINTS).numpy(), shares, labels=order, colors=[ANSWERS[name] for name in order], lw=0
    )
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    quiet(axes, x="share of the way", y="share of the samples")
    axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="center left", bbox_to_anchor=(1, 0.5))
    return page
