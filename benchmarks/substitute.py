"""The substitute black box against a plain MNIST network (the baseline of Chen et al. 2017, ZOO, table 1): one table.

python benchmarks/substitute.py [--limit 100] [--first 500] [--seeds 0,1,2] [--steps 200] [--json FILE]

The substitute starts from 150 shipped digits that are not attacked, in the network's own architecture.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from advplug import Images, ThreatModel, load, run
from advplug.engine.gateway import Gateway
from advplug.engine.problem import Options, make_problem
from advplug.engine.result import AttackResult
from advplug.families import Network

OWN = 150
SEARCH = 9

CAPTION = """ASR: share of the images that are right before the attack whose result the network gives the target, or \
any wrong class. L2: mean over those. agreement: share of the attacked images on which substitute and network agree. \
queries: of each image, its share of the training's included."""


@dataclass(frozen=True)
class Outcome:
    """One run; shares in percent."""

    seed: int
    attack: str
    goal: str
    asr: float
    l2: float
    agreement: float
    queries: float


@click.command()
@click.option("--first", default=500, show_default=True, help="Number of the first shipped digit that is attacked.")
@click.option("--limit", default=100, show_default=True, help="Digits.")
@click.option("--seeds", default="0,1,2", show_default=True, help="Of the substitutes.")
@click.option("--steps", default=200, show_default=True, help="Of C&W, for each of the nine constants.")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the rows there, too.")
def main(*, first: int, limit: int, seeds: str, steps: int, file: Path | None) -> None:
    """Print the table. Targets are random wrong classes."""
    torch.set_num_threads(1)
    net = load("defense:adversarial-training")().build("mnist").requires_grad_(False)
    digits = load("data:mnist")().load("shipped", first + limit + OWN)
    x, y = digits.inputs[first : first + limit], digits.labels[first : first + limit]
    targets = (y + torch.randint(1, 10, y.shape, generator=torch.Generator().manual_seed(0))) % 10
    rows = []
    for seed in (int(text) for text in seeds.split(",")):
        substitute, asked = trained(net, digits[first + limit :], seed)
        with torch.no_grad():
            agreement = 100 * float((substitute(x).argmax(1) == net(x).argmax(1)).float().mean())
        for name, settings, threat in attacks(steps):
            for goal in ("untargeted", "targeted"):
                attack = load("attack:transfer")(models=[substitute], attack=name, settings=settings)
                goals = {"targets": targets} if goal == "targeted" else {}
                result = run(attack, net, x, y, replace(threat, targeted=goal == "targeted"), **goals)
                given = {"seed": seed, "attack": name, "goal": goal, "agreement": agreement}
                rows.append(outcome(result, x, queries=1 + asked / limit, **given))
                click.echo(rows[-1], err=True)
    Console(width=110).print(table(rows, limit))
    if file is not None:
        file.write_text(json.dumps([asdict(row) for row in rows]))


def attacks(steps: int) -> list[tuple[str, dict[str, Any], ThreatModel]]:
    """Name, settings and threat model of each, as in the source."""
    search = {"confidence": 20.0, "search_steps": SEARCH, "steps": steps}
    return [("fgm", {}, ThreatModel("linf", 0.4)), ("cw", search, ThreatModel("l2"))]


def trained(
    net: nn.Module, own: Images, seed: int, network: Network | None = None, **settings: Any
) -> tuple[nn.Module, int]:
    """The substitute of ``net``, as the plugin trains it, and what that asked; of the architecture of the preset."""
    preset = load("defense:adversarial-training")().network
    attack = load("attack:substitute")(network=network or (lambda *_: preset("mnist")), **settings)
    one = own.inputs[:1], own.labels[:1]
    problem = make_problem(net, *one, ThreatModel("linf", 0.4), auxiliary=own, options=Options(seed=seed))
    gateway = Gateway(problem.model, own.inputs[:1], max_rows=len(own))
    return attack.own_model(problem, gateway), gateway.asked


def outcome(result: AttackResult, x: Tensor, **given: Any) -> Outcome:
    """The figures of one run on ``x`` (N, ...)."""
    size = (result.adversarials - x).flatten(1).norm(dim=1)[result.success]
    share = 100 * float(result.success.sum() / result.correct.sum())
    return Outcome(asr=share, l2=float(size.mean()), **given)


def table(rows: list[Outcome], count: int) -> Table:
    """Means over the seeds, with the least and the most in brackets."""
    made = Table("attack", "goal", "ASR %", "L2", "agreement %", "queries", title=f"{count} digits", caption=CAPTION)
    for attack, goal in dict.fromkeys((row.attack, row.goal) for row in rows):
        same = [row for row in rows if (row.attack, row.goal) == (attack, goal)]
        cells = [_spread([getattr(row, name) for row in same]) for name in ("asr", "l2", "agreement", "queries")]
        made.add_row(attack, goal, *cells)
    return made


def _spread(values: list[float]) -> str:
    mean = statistics.fmean(values)
    return f"{mean:.2f}" if min(values) == max(values) else f"{mean:.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()
