"""The elastic-net attack beside Carlini-Wagner, and from an undefended network to a distilled one: two tables.

python benchmarks/ead.py [--limit 50] [--steps 300] [--only distances|transfer]
"""

from __future__ import annotations

import time
from typing import NamedTuple

import click
import torch
from distillation import pair
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from advplug import ThreatModel, load, run

SEARCH = 9
KAPPAS = (0, 5, 10, 15, 20, 25, 30, 35, 40, 45)
TRANSFERRED: dict[str, tuple[str, dict[str, object]]] = {
    "C&W L2": ("cw", {}),
    "EAD EN": ("ead", {"beta": 1e-2, "rule": "en"}),
    "EAD L1": ("ead", {"beta": 1e-2, "rule": "l1"}),
}


class Case(NamedTuple):
    """Digits (N, 1, 28, 28), their labels (N,) and targets (N,)."""

    x: Tensor
    y: Tensor
    targets: Tensor


@click.command()
@click.option("--limit", default=50, show_default=True, help="Digits.")
@click.option("--steps", default=300, show_default=True, help="Steps for each of the nine constants.")
@click.option("--kappas", default=",".join(map(str, KAPPAS)), show_default=True)
@click.option("--only", type=click.Choice(["distances", "transfer"]), help="One table alone.")
def main(*, limit: int, steps: int, kappas: str, only: str | None) -> None:
    """Print the tables. Targets are random wrong classes, the average case of the paper."""
    torch.set_num_threads(1)
    plain, distilled = pair()
    digits = load("data:mnist")().load("shipped", limit)
    x, y = digits.inputs, digits.labels
    right = (plain(x).argmax(1) == y) & (distilled(x).argmax(1) == y)
    case = randomly_targeted(x[right], y[right])
    if only != "transfer":
        distances(plain, case, steps)
    if only != "distances":
        transfer(plain, distilled, case, steps, [float(part) for part in kappas.split(",")])


def randomly_targeted(x: Tensor, y: Tensor) -> Case:
    """Digits ``x`` of the classes ``y``, with wrong classes drawn at random as targets."""
    return Case(x, y, (y + torch.randint(1, 10, y.shape, generator=torch.Generator().manual_seed(0))) % 10)


def attack(name: str, net: nn.Module, case: Case, settings: dict[str, object]) -> Tensor:
    """Adversarial images like ``case.x``, the clean ones where it fails."""
    norm = "l2" if name == "cw" else "l1"
    made = load(f"attack:{name}")(search_steps=SEARCH, **settings)
    result = run(made, net, case.x, case.y, ThreatModel(norm, targeted=True), targets=case.targets)
    found: Tensor = result.adversarials
    return found


def distances(net: nn.Module, case: Case, steps: int) -> None:
    """L1, L2 and Linf of the successes on the plain network, and L1 beside that of Carlini-Wagner."""
    rows: list[tuple[str, str, dict[str, object]]] = [("C&W L2", "cw", {"abort_early": False})]
    for beta in (0.0, 1e-4, 1e-3, 1e-2):
        for rule in ("en", "l1"):
            rows.append((f"EAD {rule.upper()}, beta {beta:g}", "ead", {"beta": beta, "rule": rule}))
    table = Table("attack", "success %", "L1", "L2", "Linf", "L1 / C&W", "s")
    baseline = None
    for label, name, settings in rows:
        start = time.perf_counter()
        found = attack(name, net, case, {"steps": steps, **settings})
        seconds = time.perf_counter() - start
        hit = net(found).argmax(1) == case.targets
        delta = (found - case.x).flatten(1)[hit]
        l1 = float(delta.abs().sum(1).mean())
        baseline = baseline or l1
        figures = [l1, float(delta.norm(dim=1).mean()), float(delta.abs().amax(1).mean()), l1 / baseline]
        table.add_row(label, f"{100 * hit.float().mean():.0f}", *(f"{one:.3f}" for one in figures), f"{seconds:.0f}")
    table.title = f"{len(case.x)} digits, plain network, {SEARCH} x {steps} steps"
    Console(width=110).print(table)


def transfer(plain: nn.Module, distilled: nn.Module, case: Case, steps: int, kappas: list[float]) -> None:
    """Share of the images that the distilled network takes for the target, made on the plain one at each kappa."""
    table = Table("kappa", *TRANSFERRED)
    for kappa in kappas:
        shares = (reached(label, (plain, distilled), case, steps, kappa) for label in TRANSFERRED)
        table.add_row(f"{kappa:g}", *(f"{hit:.0f} ({made:.0f})" for hit, made in shares))
    table.title = f"{len(case.x)} digits: target reached on the distilled network (on the plain one with kappa), %"
    Console(width=110).print(table)


def reached(label: str, nets: tuple[nn.Module, nn.Module], case: Case, steps: int, kappa: float) -> tuple[float, float]:
    """Shares in percent of the images that reach their target on the second net, and with ``kappa`` on the first."""
    plain, other = nets
    name, settings = TRANSFERRED[label]
    found = attack(name, plain, case, {"steps": steps, "confidence": kappa, **settings})
    made = (found != case.x).flatten(1).any(1).float().mean()
    with torch.no_grad():
        hit = (other(found).argmax(1) == case.targets).float().mean()
    return 100 * float(hit), 100 * float(made)


if __name__ == "__main__":
    main()
