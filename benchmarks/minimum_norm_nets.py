"""Two more networks of the minimum-norm benchmark: a residual one for CIFAR-10, a smooth one for MNIST.

python benchmarks/minimum_norm_nets.py   trains both again into benchmarks/weights, a few minutes each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import click
import torch
from nets import ResidualBlock
from safetensors.torch import load_file, save_file
from torch import nn

from advplug import load
from advplug.training import Adversary, TrainingConfig, fit, seeded

WEIGHTS = Path(__file__).parent / "weights"


class Trained(NamedTuple):
    """A network, the splits of the data it is trained and judged on, and its training."""

    network: Callable[[], nn.Module]
    data: str
    train_split: str
    test_split: str
    images: int
    training: TrainingConfig


def residual() -> nn.Module:
    """Three residual blocks with batch normalisation behind a strided stem, for images (3, 32, 32)."""
    return nn.Sequential(
        nn.Conv2d(3, 24, 3, 2, 1, bias=False),
        nn.BatchNorm2d(24),
        nn.ReLU(),
        ResidualBlock(24, 24, 1),
        ResidualBlock(24, 48, 2),
        ResidualBlock(48, 96, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(96, 10),
    )


def smooth() -> nn.Module:
    """Two strided convolutions and a hidden layer, with SiLU, for images (1, 28, 28)."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 4, 2, 1),
        nn.SiLU(),
        nn.Conv2d(16, 32, 4, 2, 1),
        nn.SiLU(),
        nn.Flatten(),
        nn.Linear(32 * 7**2, 100),
        nn.SiLU(),
        nn.Linear(100, 10),
    )


TRAINED: Mapping[str, Trained] = {
    "mnist-smooth": Trained(
        smooth,
        data="mnist",
        train_split="train-disjoint",
        test_split="shipped",
        images=20_000,
        training=TrainingConfig(
            epochs=10, learning_rate=0.05, adversary=Adversary(norm="l2", epsilon=2.0, step_size=2.5, steps=1)
        ),
    ),
    "cifar10-resnet": Trained(
        residual,
        data="cifar10",
        train_split="train",
        test_split="test",
        images=10_000,
        training=TrainingConfig(
            epochs=14,
            learning_rate=0.1,
            batch_size=100,
            augment=True,
            weight_decay=5e-4,
            adversary=Adversary(epsilon=4 / 255, step_size=5 / 255, steps=1),
        ),
    ),
}
"""Both by adversarial training with one step: the first under L2, the second under Linf."""


def build(name: str) -> nn.Module:
    """The trained network ``name``, in evaluation mode."""
    net = TRAINED[name].network()
    net.load_state_dict(load_file(_file(name)))
    return net.eval()


def _file(name: str) -> Path:
    return WEIGHTS / f"{name}.safetensors"


@click.command()
@click.option("--only", type=click.Choice(list(TRAINED)), help="Train this one alone.")
def main(*, only: str | None) -> None:
    """Train them from a fixed seed, and print their accuracy on images that they were not trained on."""
    torch.set_num_threads(1)
    for name in [only] if only else TRAINED:
        of = TRAINED[name]
        data = load(f"data:{of.data}")()
        net = seeded(0, of.network)
        fit(net, data.load(of.train_split, of.images), of.training, on_epoch=_say)
        save_file(net.state_dict(), _file(name))
        test = data.load(of.test_split, 1000)
        with torch.no_grad():
            right = (net(test.inputs).argmax(1) == test.labels).float().mean()
        click.echo(f"{name}: {right:.1%} of {len(test)} images of {of.data}")


def _say(epoch: int, epochs: int, metrics: Mapping[str, float]) -> None:
    click.echo(f"epoch {epoch} of {epochs}: " + ", ".join(f"{key} {value:.3f}" for key, value in metrics.items()))


if __name__ == "__main__":
    main()
