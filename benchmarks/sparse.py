"""Attacks that change few values, beside each other and Foolbox's; and those from scores alone within few pixels.

python benchmarks/sparse.py [--models mnist,mnist-linf,cifar10] [--limit 20] [--steps 500] [--queries 1000]
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import click
import torch
from minimum_norm_cases import MODELS, Case, case
from minimum_norm_judge import Contestant, Found, Outcome, measure, settings
from minimum_norm_peers import foolbox
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from advplug import ThreatModel, load, run

POPULATION = 100
PIXELS = (1, 3, 5)


@click.command()
@click.option("--models", default="mnist,mnist-linf,cifar10", show_default=True, help="Presets, comma-separated.")
@click.option("--limit", default=20, show_default=True, help="Images, including misclassified ones.")
@click.option("--steps", default=500, show_default=True, help="Gradients for each image, at most.")
@click.option("--queries", default=1000, show_default=True, help="Queries of random searches for each of ten budgets.")
@click.option("--only", default="", help="Parts of the names of attacks, comma-separated.")
def main(*, models: str, limit: int, steps: int, queries: int, only: str) -> None:
    """Print a table of the fewest values, and one of what a few pixels break."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    unknown = set(models.split(",")) - set(MODELS)
    if unknown:
        raise click.ClickException(f"no preset {', '.join(sorted(unknown))}: choose of {', '.join(MODELS)}")
    columns = ("network", "attack", "median L0", "mean L0", "success %", "forwards", "gradients", "seconds")
    table = Table(*columns, box=MARKDOWN)
    few = Table("network", "attack", *(f"{k} px" for k in PIXELS), "queries", box=MARKDOWN)
    wanted = [part for part in only.split(",") if part]
    for model in models.split(","):
        subject = case(model, limit)
        for one in (*ours(steps, queries), *foolbox("l0", steps)):
            if one.slow or (wanted and not any(part in one.name for part in wanted)):
                continue
            outcome = measure(one, subject.net, subject.x, subject.y, "l0")
            table.add_row(model, *cells(outcome))
            click.echo(f"{model} {one.name} ({one.settings}): {outcome.seconds:.1f} s", err=True)
        for name, arguments in from_scores(queries).items():
            if not wanted or any(part in name for part in wanted):
                few.add_row(model, name, *within_pixels(name, arguments, subject))
    Console(width=150).print(table, few)


def ours(steps: int, queries: int) -> list[Contestant]:
    """The attacks of advplug under L0; what stops by itself takes fewer gradients."""
    return [
        contestant("sigma-zero", steps=steps),
        contestant("fmn", steps=steps),
        contestant("pdpgd", steps=steps),
        contestant("cw-l0", steps=steps),
        contestant("vfga"),
        contestant("sparsefool"),
        contestant("jsma"),
        contestant("jsma", targets="each"),
        *(contestant(name, **arguments) for name, arguments in from_scores(queries).items()),
    ]


def from_scores(queries: int) -> dict[str, dict[str, Any]]:
    """The attacks that need no gradient, with arguments for so many queries."""
    generations = max(1, queries // (POPULATION + 1) - 1)
    return {
        "sparse-rs": {"queries": queries},
        "one-pixel": {"population": POPULATION, "generations": generations},
    }


def within_pixels(name: str, arguments: dict[str, Any], subject: Case) -> list[str]:
    """The share in % that is broken by each number of pixels, and the mean queries of the last."""
    shares = []
    for count in PIXELS:
        attack = load(f"attack:{name}")(pixels=True, **arguments)
        result = run(attack, subject.net, subject.x, subject.y, ThreatModel("l0", count * subject.x.shape[1]))
        shares.append(f"{100 * result.success.double().mean():.0f}")
    return [*shares, f"{result.forwards.double().mean():.0f}"]


def contestant(name: str, targets: Any = None, **arguments: Any) -> Contestant:
    """One of ours."""

    def find(net: nn.Module, x: Tensor, y: Tensor) -> Found:
        result = run(load(f"attack:{name}")(**arguments), net, x, y, ThreatModel("l0"), targets=targets)
        return Found(result.adversarials, result.success)

    label = name if targets is None else f"{name}, each target"
    return Contestant("advplug", label, settings(arguments), find, lambda net, x, y: load(f"attack:{name}"))


def cells(outcome: Outcome) -> list[str]:
    """Name, distances, success, passes and time; failures count as infinitely far in the median."""
    name, distances = outcome.contestant.name, outcome.distances
    if outcome.error is not None:
        return [name, f"raises {outcome.error.partition(':')[0]}"]
    success = ~distances.isnan()
    median = float(distances.nan_to_num(nan=math.inf).quantile(0.5))
    figures = [f"{median:.4g}", f"{float(distances[success].mean()):.4g}", f"{100 * success.double().mean():.0f}"]
    return [name, *figures, f"{outcome.forwards:.0f}", f"{outcome.backwards:.0f}", f"{outcome.seconds:.1f}"]


if __name__ == "__main__":
    main()
