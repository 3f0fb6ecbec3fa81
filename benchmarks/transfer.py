"""From three undefended networks to an adversarially trained one (Sharma and Chen 2018): one table for each goal.

python benchmarks/transfer.py [--limit 100] [--first 500] [--kappas 5,10,...] [--epsilons 0.1,...] [--json FILE]

Every attack runs on the ensemble of transfer_nets.py and minimises the mean of the members' losses; the network under
attack, the preset mnist-linf of adversarial-training, sees only what comes out.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import click
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from transfer_nets import members

from advplug import ThreatModel, load, run
from advplug.attack import Attack
from advplug.families.ensemble import Ensemble, MeanOverMembers
from advplug.numerics.tensors import norms

KAPPAS = (0, 5, 10, 15, 20, 25, 30, 40, 50, 70)
EPSILONS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
SEARCH = 9

CAPTION = """ASR: share of the images whose result the defended network gives the target, or any wrong class. found: \
share on which the attack succeeded on the ensemble, with the confidence kappa of the mean logits. L1, L2, Linf: means \
over what transferred. Images are right on both before the attack."""


@dataclass(frozen=True)
class Setting:
    """One row to be: an attack, its confidence or budget, and the threat model."""

    name: str
    value: float
    attack: Attack
    threat: ThreatModel


@dataclass(frozen=True)
class Outcome:
    """One row: shares in percent, mean distances of what transferred (NaN where nothing did)."""

    goal: str
    attack: str
    value: float
    asr: float
    found: float
    l1: float
    l2: float
    linf: float
    seconds: float


@dataclass(frozen=True)
class Case:
    """The ensemble, the network under attack, digits (N, 1, 28, 28) that both get right, labels and targets (N,)."""

    ensemble: Ensemble
    defended: nn.Module
    x: Tensor
    y: Tensor
    targets: Tensor


@click.command()
@click.option("--first", default=500, show_default=True, help="Number of the first shipped digit.")
@click.option("--limit", default=100, show_default=True, help="Digits.")
@click.option("--steps", default=200, show_default=True, help="Of C&W and EAD, for each of the nine constants.")
@click.option("--kappas", default=",".join(map(str, KAPPAS)), show_default=True)
@click.option("--epsilons", default=",".join(map(str, EPSILONS)), show_default=True)
@click.option("--goal", type=click.Choice(["targeted", "untargeted"]), help="One table alone.")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the rows there, too.")
def main(
    *, first: int, limit: int, steps: int, kappas: str, epsilons: str, goal: str | None, file: Path | None
) -> None:
    """Print the tables. Targets are random wrong classes."""
    torch.set_num_threads(1)
    case = load_case(first, limit)
    rows: list[Outcome] = []
    goals: tuple[Literal["targeted", "untargeted"], ...] = ("targeted", "untargeted")
    for one in goals:
        if goal in (None, one):
            numbers = [float(text) for text in kappas.split(",")], [float(text) for text in epsilons.split(",")]
            for setting in settings(*numbers, steps, targeted=one == "targeted"):
                rows.append(outcome(case, setting, one))
                click.echo(rows[-1], err=True)
                if file is not None:
                    file.write_text(json.dumps([asdict(row) for row in rows]))
            Console(width=110).print(table([row for row in rows if row.goal == one], one, len(case.x)))


def load_case(first: int, limit: int) -> Case:
    """The networks, and those of ``limit`` shipped digits from number ``first`` on that both get right."""
    ensemble = Ensemble(members(), 10).eval()
    defended = load("defense:adversarial-training")().build("mnist-linf").requires_grad_(False)
    digits = load("data:mnist")().load("shipped", first + limit)[first:]
    x, y = digits.inputs, digits.labels
    targets = (y + torch.randint(1, 10, y.shape, generator=torch.Generator().manual_seed(0))) % 10
    with torch.no_grad():
        right = (ensemble(x).argmax(1) == y) & (defended(x).argmax(1) == y)
    return Case(ensemble, defended, x[right], y[right], targets[right])


def settings(kappas: list[float], epsilons: list[float], steps: int, *, targeted: bool) -> Iterator[Setting]:
    """Every attack at every confidence or budget."""
    nearest = ThreatModel("l2", targeted=targeted)
    search = {"search_steps": SEARCH, "steps": steps}
    for kappa in kappas:
        yield Setting("C&W", kappa, load("attack:cw")(confidence=kappa, **search), nearest)
        yield Setting("EAD", kappa, load("attack:ead")(beta=0.01, rule="en", confidence=kappa, **search), nearest)
    for epsilon in epsilons:
        threat = ThreatModel("linf", epsilon, targeted=targeted)
        yield Setting("PGD", epsilon, load("attack:pgd")(steps=40, step_size=epsilon / 20), threat)
        yield Setting("I-FGM", epsilon, load("attack:fgm")(steps=10), threat)


def outcome(case: Case, setting: Setting, goal: Literal["targeted", "untargeted"]) -> Outcome:
    """Run it on the ensemble, and ask the defended network what it makes of the result."""
    start = time.perf_counter()
    result = run(
        setting.attack,
        case.ensemble,
        case.x,
        case.y,
        setting.threat,
        loss=MeanOverMembers(setting.attack.default_loss),
        targets=case.targets if goal == "targeted" else None,
        early_end=False,
    )
    with torch.no_grad():
        answer = case.defended(result.adversarials).argmax(1)
    hit = answer == case.targets if goal == "targeted" else answer != case.y
    delta = (result.adversarials - case.x)[hit]
    l1, l2, linf = (float(norms(delta, norm).mean()) for norm in ("l1", "l2", "linf"))
    return Outcome(
        goal,
        setting.name,
        setting.value,
        100 * float(hit.float().mean()),
        100 * float(result.success.float().mean()),
        l1,
        l2,
        linf,
        time.perf_counter() - start,
    )


def table(rows: list[Outcome], goal: str, count: int) -> Table:
    """The rows, attack by attack."""
    made = Table(
        *("attack", "kappa or epsilon", "ASR %", "found %", "L1", "L2", "Linf"),
        title=f"{count} digits, {goal}: three undefended networks to mnist-linf",
        caption=CAPTION,
    )
    for row in sorted(rows, key=lambda row: ("C&W", "EAD", "PGD", "I-FGM").index(row.attack)):
        figures = (f"{row.l1:.1f}", f"{row.l2:.2f}", f"{row.linf:.3f}")
        made.add_row(row.attack, f"{row.value:g}", f"{row.asr:.1f}", f"{row.found:.1f}", *figures)
    return made


if __name__ == "__main__":
    main()
