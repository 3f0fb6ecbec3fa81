"""How close the feature adversary brings digits to the representation of a guide, as Sabour et al. measure it.

python benchmarks/feature_adversary.py [--limit 100] [--json FILE] [--figure FILE]
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import click
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from advplug import Images, ThreatModel, load, run
from advplug.attack import Attack
from advplug.engine.task import Task
from advplug.numerics.tensors import raw

BUDGETS = {"linf": (0.05, 0.1, 0.2, 0.3), "l2": (1.0, 2.0, 3.0, 5.0)}
PRESETS = ("mnist", "mnist-linf")


class Row(NamedTuple):
    """``share``: the distance to the guide's representation that is left, of that of the clean image; its quartiles."""

    model: str
    norm: str
    epsilon: float
    reached: float
    low: float
    share: float
    high: float


class Last(Attack):
    """The feature adversary, with its guides and the last points of all samples."""

    norms = ("linf", "l2")
    needs_auxiliary = True
    fixed_loss = True

    def __init__(self) -> None:
        self.attack = load("attack:feature-adversary")()
        self.guides: Any = None
        self.points: dict[int, Tensor] = {}

    def prepare(self, problem: Any, oracle: Any) -> Any:
        self.guides = self.attack.prepare(problem, oracle)
        return self.guides

    def run(self, task: Task) -> None:
        judge = task.evaluate

        def judged(x: Any, *given: Any, **named: Any) -> Any:
            self.points |= dict(zip(raw(task.samples).tolist(), raw(x), strict=True))
            return judge(x, *given, **named)

        task.evaluate = judged  # type: ignore[method-assign]
        self.attack.run(task)


@click.command()
@click.option("--limit", default=100, show_default=True, help="Digits.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--figure", type=click.Path(path_type=Path, dir_okay=False))
def main(*, limit: int, json_file: Path | None, figure: Path | None) -> None:
    """Print the table; targets are random wrong classes, guides come from shipped digits 500 to 999."""
    torch.set_num_threads(1)
    digits = load("data:mnist")().load("shipped")
    own = Images(digits.inputs[500:1000], digits.labels[500:1000])
    rows = []
    table = Table("model", "norm", "epsilon", "guide's class %", "distance left, %", "quartiles")
    for preset in PRESETS:
        net = load("defense:adversarial-training")().build(preset).eval().requires_grad_(False)
        x, y = digits.inputs[:limit], digits.labels[:limit]
        right = net(x).argmax(1) == y
        for norm, budgets in BUDGETS.items():
            for epsilon in budgets:
                row = measured(preset, net, Images(x[right], y[right]), own, ThreatModel(norm, epsilon, targeted=True))
                rows.append(row)
                shares = [f"{100 * value:.0f}" for value in (row.low, row.share, row.high)]
                reached = f"{100 * row.reached:.0f}"
                table.add_row(preset, norm, f"{epsilon:g}", reached, shares[1], f"{shares[0]} to {shares[2]}")
    Console(width=110).print(table)
    if json_file is not None:
        json_file.write_text(json.dumps([row._asdict() for row in rows], indent=1), encoding="utf-8")
    if figure is not None:
        draw(rows, figure)


def measured(preset: str, net: nn.Module, clean: Images, own: Images, threat: ThreatModel) -> Row:
    """Attack ``clean`` and compare the representations of the last points with those of the guides."""
    wrong = torch.randint(1, 10, clean.labels.shape, generator=torch.Generator().manual_seed(0))
    targets = (clean.labels + wrong) % 10
    attack = Last()
    options = {"targets": targets, "auxiliary": own, "early_end": False}
    result = run(attack, net, clean.inputs, clean.labels, threat, **options)
    found = torch.stack([attack.points[i] for i in range(len(clean))])
    last = [module for module in net.modules() if isinstance(module, nn.Linear)][-1]
    seen: list[Tensor] = []
    hook = last.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    net(torch.cat((clean.inputs, found, own.inputs[attack.guides.images[targets]])))
    hook.remove()
    before, after, guide = seen[0].chunk(3)
    share = (after - guide).norm(dim=1) / (before - guide).norm(dim=1)
    quartiles = share.quantile(torch.tensor([0.25, 0.5, 0.75])).tolist()
    return Row(preset, threat.norm, threat.epsilon or 0.0, float(result.success.float().mean()), *quartiles)


def draw(rows: list[Row], file: Path) -> None:
    """The share that is left over the budget, median and quartiles."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.4), sharey=True, layout="constrained")
    for axis, norm in zip(axes, BUDGETS, strict=True):
        for preset, colour, line in zip(PRESETS, ("#0072b2", "#d55e00"), ("-", "--"), strict=True):
            own = [row for row in rows if row.model == preset and row.norm == norm]
            budgets = [row.epsilon for row in own]
            axis.plot(budgets, [100 * row.share for row in own], line, marker="o", color=colour, label=preset)
            low, high = ([100 * getattr(row, name) for row in own] for name in ("low", "high"))
            axis.fill_between(budgets, low, high, color=colour, alpha=0.15, linewidth=0)
        axis.set(xlabel=f"epsilon, {norm.capitalize()}, inputs in [0, 1]", ylim=(0, 105))
    axes[0].set(ylabel="distance to the guide that is left, %")
    axes[0].legend()
    figure.savefig(file, dpi=90)


if __name__ == "__main__":
    main()
