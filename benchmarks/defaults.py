"""PGD of 40 steps at each library's defaults, under every norm that both have: robust accuracy on real digits.

python benchmarks/defaults.py [--preset mnist-relu] [--limit 200]
"""

from __future__ import annotations

import click
import foolbox
import torch
from rich.console import Console
from rich.table import Table

from advplug import ThreatModel, load, run

FOOLBOX = {
    "linf": ("LinfPGD", (0.05, 0.1)),
    "l2": ("L2PGD", (1.0, 1.5, 2.0)),
    "l1": ("SparseL1DescentAttack", (5.0, 10.0, 20.0)),  # far stronger than its L1PGD
}


@click.command()
@click.option("--preset", default="mnist-relu", show_default=True, help="Of the kWTA defense.")
@click.option("--limit", default=200, show_default=True, help="Digits.")
def main(*, preset: str, limit: int) -> None:
    """Print the table."""
    torch.set_num_threads(2)
    model = load("defense:kwta")().build(preset)
    digits = load("data:mnist")().load("shipped", limit)
    fmodel = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    table = Table("norm", "epsilon", "foolbox", "robust %", "advplug, robust %", title=f"kWTA preset {preset}")
    for norm, (name, budgets) in FOOLBOX.items():
        for epsilon in budgets:
            attack = getattr(foolbox.attacks, name)(steps=40)
            success = attack(fmodel, digits.inputs, digits.labels, epsilons=epsilon)[2]
            ours = run(load("attack:pgd")(), model, digits.inputs, digits.labels, ThreatModel(norm, epsilon))
            theirs = 1 - success.double().mean().item()
            table.add_row(norm, f"{epsilon:g}", name, f"{100 * theirs:.1f}", f"{100 * ours.robust_accuracy:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
