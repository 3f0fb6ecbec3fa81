"""Why the fast gradient method on a substitute succeeds more often than published: three controls, one table.

python benchmarks/substitute_reasons.py [--limit 100] [--first 500] [--seed 0]

For each network and budget: the share of the digits that are right before, and wrong after FGM on the substitute, after
a random sign for each value (no substitute, no gradient), and after FGM on the network itself.
"""

from __future__ import annotations

from dataclasses import replace

import click
import torch
from substitute import OWN, trained
from torch import Tensor, nn

from advplug import ThreatModel, load, run

NETWORKS = ("adversarial-training:mnist", "distillation:mnist-plain", "adversarial-training:mnist-l2")
EPSILONS = (0.1, 0.2, 0.3, 0.4)
HEADER = "| network | epsilon | FGM on the substitute | targeted | random signs | FGM on the network | L2 |\n"


@click.command()
@click.option("--first", default=500, show_default=True, help="Number of the first shipped digit that is attacked.")
@click.option("--limit", default=100, show_default=True, help="Digits.")
@click.option("--seed", default=0, show_default=True, help="Of the substitutes and the signs.")
@click.option("--network", "networks", multiple=True, default=NETWORKS, show_default=True)
@click.option("--epsilon", "epsilons", multiple=True, default=EPSILONS, show_default=True)
def main(*, first: int, limit: int, seed: int, networks: tuple[str, ...], epsilons: tuple[float, ...]) -> None:
    """Print the table as Markdown, a line at a time."""
    torch.set_num_threads(1)
    digits = load("data:mnist")().load("shipped", first + limit + OWN)
    x, y = digits.inputs[first : first + limit], digits.labels[first : first + limit]
    targets = (y + torch.randint(1, 10, y.shape, generator=torch.Generator().manual_seed(seed))) % 10
    click.echo(f"{HEADER}|" + "---|" * 7)
    for name in networks:
        defense, preset = name.split(":")
        net = load(f"defense:{defense}")().build(preset).requires_grad_(False)
        substitute, _ = trained(net, digits[first + limit :], seed)
        signs = 2.0 * torch.randint(0, 2, x.shape, generator=torch.Generator().manual_seed(seed)) - 1
        for epsilon in epsilons:
            threat = ThreatModel("linf", epsilon)
            transfer = load("attack:transfer")(models=[substitute], attack="fgm")
            transferred = run(transfer, net, x, y, threat)
            aimed = run(transfer, net, x, y, replace(threat, targeted=True), targets=targets)
            white = run(load("attack:fgm")(), net, x, y, threat)
            shares = (
                share(net, x, y, transferred.adversarials),
                100 * float(aimed.success.sum() / aimed.correct.sum()),
                share(net, x, y, (x + epsilon * signs).clamp(0, 1)),
                share(net, x, y, white.adversarials),
            )
            size = (transferred.adversarials - x).flatten(1).norm(dim=1)[transferred.success].mean()
            cells = " | ".join(f"{value:.1f}" for value in shares)
            click.echo(f"| `{name}` | {epsilon:g} | {cells} | {size:.2f} |")


@torch.no_grad()
def share(net: nn.Module, x: Tensor, y: Tensor, attacked: Tensor, targets: Tensor | None = None) -> float:
    """Of the digits that are right before, those that are wrong after, or hit their targets, in percent."""
    right, after = net(x).argmax(1) == y, net(attacked).argmax(1)
    return 100 * float((after != y if targets is None else after == targets)[right].double().mean())


if __name__ == "__main__":
    main()
