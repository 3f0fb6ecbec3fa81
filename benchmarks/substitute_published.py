"""The fast gradient method on a substitute of the network that was attacked in the source: one table.

python benchmarks/substitute_published.py [--digits 20000] [--epochs 3] [--rounds 3,10,30] [--limit 100] [--seed 0]

Trains the network of Carlini and Wagner on MNIST (set ADVPLUG_DATA to its folder), then a substitute of the same
architecture for each number of epochs a round; a round trains on twice the digits of the one before, six in all.
"""

from __future__ import annotations

import click
import torch
from substitute import OWN, trained
from substitute_reasons import share
from torch import Tensor, nn

from advplug import ThreatModel, load, run
from advplug.families import CarliniNet
from advplug.training import TrainingConfig, fit, seeded


@click.command()
@click.option("--digits", "count", default=20_000, show_default=True, help="Of MNIST, to train the network on.")
@click.option("--epochs", default=3, show_default=True, help="Of the network's training.")
@click.option("--rounds", default="3,10,30", show_default=True, help="Epochs of each round of the substitute's.")
@click.option("--first", default=500, show_default=True, help="Number of the first shipped digit that is attacked.")
@click.option("--epsilon", default=0.4, show_default=True, help="Budget under Linf.")
@click.option("--limit", default=100, show_default=True, help="Digits.")
@click.option("--seed", default=0, show_default=True, help="Of the trainings, the targets and the signs.")
def main(*, count: int, epochs: int, rounds: str, first: int, limit: int, epsilon: float, seed: int) -> None:
    """Print the table as Markdown, a line at a time."""
    torch.set_num_threads(1)
    data = load("data:mnist")()
    digits = data.load("shipped", first + limit + OWN)
    x, y = digits.inputs[first : first + limit], digits.labels[first : first + limit]
    generator = torch.Generator().manual_seed(seed)
    targets = (y + torch.randint(1, 10, y.shape, generator=generator)) % 10
    signs = 2.0 * torch.randint(0, 2, x.shape, generator=generator) - 1
    net = seeded(seed, CarliniNet)
    fit(net, data.load("train", count), TrainingConfig(epochs=epochs, learning_rate=1e-3, optimiser="adam"), seed=seed)
    net.requires_grad_(False)
    with torch.no_grad():
        click.echo(f"right on {100 * float((net(x).argmax(1) == y).double().mean()):.1f} % of the digits\n")
    click.echo("| gradient of | agreement | untargeted | targeted | untargeted, not clipped |\n|" + "---|" * 5)
    click.echo(f"| none, random signs | | {share(net, x, y, moved(x, epsilon * signs)):.1f} | "
               f"{share(net, x, y, moved(x, epsilon * signs), targets):.1f} | "
               f"{share(net, x, y, x + epsilon * signs):.1f} |")  # fmt: skip
    click.echo(f"| the network | 100 | {' | '.join(shares(net, net, (x, y, targets), epsilon))} |")
    for each in map(int, rounds.split(",")):
        own, _ = trained(net, digits[first + limit :], seed, lambda *_: CarliniNet(), epochs=each)
        with torch.no_grad():
            agreement = 100 * float((own(x).argmax(1) == net(x).argmax(1)).double().mean())
        cells = " | ".join(shares(own, net, (x, y, targets), epsilon))
        click.echo(f"| a substitute, {each} epochs a round | {agreement:.0f} | {cells} |")


def shares(own: nn.Module, net: nn.Module, digits: tuple[Tensor, Tensor, Tensor], epsilon: float) -> list[str]:
    """Of the digits that ``net`` gets right, in percent: those that miss, hit the target, and miss without the clip."""
    found, (x, y, targets) = [], digits
    for goal in (None, targets):
        threat = ThreatModel("linf", epsilon, targeted=goal is not None)
        result = run(load("attack:transfer")(models=[own], attack="fgm"), net, x, y, threat, targets=goal)
        found.append(100 * float(result.success.sum() / result.correct.sum()))
    with torch.enable_grad():
        at = x.clone().requires_grad_()
        loss = nn.functional.cross_entropy(own(at), y)
        (gradient,) = torch.autograd.grad(loss, at)
    found.append(share(net, x, y, x + epsilon * gradient.sign()))
    return [f"{value:.1f}" for value in found]


def moved(x: Tensor, change: Tensor) -> Tensor:
    """The digits after ``change``, cut to the bounds."""
    return (x + change).clamp(0, 1)


if __name__ == "__main__":
    main()
