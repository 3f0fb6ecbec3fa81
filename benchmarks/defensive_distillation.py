"""The case distillation over temperatures and confidences, and its figure; two tables in Markdown.

python benchmarks/defensive_distillation.py temperatures [--limit 100] [--steps 100]
python benchmarks/defensive_distillation.py transfer [--limit 100] [--steps 100]
python benchmarks/defensive_distillation.py figure
"""

from __future__ import annotations

from pathlib import Path

import click
import torch
from advplug_adaptive_distillation._measures import correct, gaps, slopes
from advplug_adaptive_distillation._saturation import HEAT, drawn
from advplug_attack_pgd import PGD
from ead import SEARCH, TRANSFERRED, Case, attack, randomly_targeted, reached
from torch import Tensor, nn

from advplug import load, run
from advplug.losses import CrossEntropy, Loss, Margin, TemperedCrossEntropy

ROOT = Path(__file__).resolve().parent.parent
HEATS = {"mnist-plain": None, "mnist-t1": 1.0, "mnist-t10": 10.0, "mnist-t30": 30.0, "mnist": 100.0}
PUBLISHED = {
    0: (1.1, 0.6, 0.5),
    10: (6.5, 8.4, 7.5),
    20: (44.4, 37.0, 39.4),
    30: (78.1, 76.3, 76.9),
    40: (87.4, 95.2, 96.3),
    50: (80.6, 98.6, 98.1),
}
"""Sharma 2018, table 8, average case, in percent: C&W, EAD by its EN rule and by its L1 rule, for each kappa."""


@click.group()
def main() -> None:
    """Print a table, or draw the figure of docs/distillation.md."""
    torch.set_num_threads(1)


@main.command()
@click.option("--limit", default=100, show_default=True, help="Digits.")
@click.option("--steps", default=100, show_default=True, help="Of C&W and EAD for each of nine constants.")
def temperatures(*, limit: int, steps: int) -> None:
    """One row for each temperature: logits, gradients, and what attacks leave."""
    digits = load("data:mnist")().load("shipped", limit)
    x, y = digits.inputs, digits.labels
    usual = _size(_built("mnist-plain"), x)
    click.echo(
        "| T | clean | largest logit | zero in float32 | in float64 | PGD-40, cross-entropy | logits / T | margin "
        "| C&W [published] | EAD [published] |\n" + "|---" * 10 + "|"
    )
    for preset, heat in HEATS.items():
        net = _built(preset)
        right = correct(net, x, y)
        lost = [_zero(net, x[right], y[right]), _zero(net, x[right].double(), y[right])]
        losses = (CrossEntropy(), TemperedCrossEntropy(heat or 1.0), Margin())
        left = [_left(net, x, y, loss) for loss in losses]
        case = randomly_targeted(x[right], y[right])
        hits = [_hits(name, net, case, steps) for name in ("cw", "ead")]
        cells = [f"{100 * right.double().mean():.1f}", f"{_size(net, x) / usual:.1f}"]
        cells += [f"{share:.1f}" for share in (*lost, *left)]
        cells += [f"{hit:.1f} [100]" if heat else f"{hit:.1f}" for hit in hits]
        click.echo(f"| {f'{heat:g}' if heat else 'undefended'} | {' | '.join(cells)} |")


@main.command()
@click.option("--limit", default=100, show_default=True, help="Digits.")
@click.option("--steps", default=100, show_default=True, help="Of each attack for each of nine constants.")
def transfer(*, limit: int, steps: int) -> None:
    """One row for each kappa: targets reached on the student by what was made on the undefended network."""
    digits = load("data:mnist")().load("shipped", limit)
    plain, student = _built("mnist-plain"), _built("mnist")
    x, y = digits.inputs, digits.labels
    right = correct(plain, x, y) & correct(student, x, y)
    case = randomly_targeted(x[right], y[right])
    click.echo(f"{len(case.x)} digits, {SEARCH} x {steps} steps")
    click.echo(f"| kappa | {' | '.join(TRANSFERRED)} |\n|---{'|---' * len(TRANSFERRED)}|")
    for kappa, published in PUBLISHED.items():
        shares = [reached(label, (plain, student), case, steps, kappa) for label in TRANSFERRED]
        cells = [f"{hit:.1f} [{figure}] ({made:.0f})" for (hit, made), figure in zip(shares, published, strict=True)]
        click.echo(f"| {kappa} | {' | '.join(cells)} |")


@main.command()
def figure() -> None:
    """Draw the figure for 1,000 digits."""
    digits = load("data:mnist")().load("shipped", 1000)
    plain, student = _built("mnist-plain"), _built("mnist")
    right = correct(student, digits.inputs, digits.labels)
    x, y = digits.inputs[right], digits.labels[right]
    apart = {"undefended": gaps(plain, x), "T = 100": gaps(student, x)}
    lengths = {"cross-entropy": slopes(student, x, y), f"of the logits / {HEAT:g}": slopes(student, x, y, HEAT)}
    drawn(apart, lengths).savefig(ROOT / "docs" / "distillation-saturation.png", dpi=150)


def _built(preset: str) -> nn.Module:
    net: nn.Module = load("defense:distillation")().build(preset).requires_grad_(False)
    return net


@torch.no_grad()
def _size(net: nn.Module, x: Tensor) -> float:
    """Mean of the largest logit."""
    return float(net(x).amax(1).mean())


def _zero(net: nn.Module, x: Tensor, y: Tensor) -> float:
    """Share in percent of the images ``x`` whose cross-entropy has a gradient of exactly zero in the dtype of ``x``."""
    share = 100 * (slopes(net.to(x.dtype), x, y) == 0).double().mean().item()
    net.float()
    return share


def _left(net: nn.Module, x: Tensor, y: Tensor, loss: Loss) -> float:
    """Robust accuracy in percent under 40 steps of PGD at linf 0.3."""
    return 100 * run(PGD(steps=40), net, x, y, "linf:0.3", loss=loss).robust_accuracy


def _hits(name: str, net: nn.Module, case: Case, steps: int) -> float:
    """Share in percent of the images for which the attack reaches the target at some distance."""
    found = attack(name, net, case, {"steps": steps})
    with torch.no_grad():
        return 100 * float((net(found).argmax(1) == case.targets).double().mean())


if __name__ == "__main__":
    main()
