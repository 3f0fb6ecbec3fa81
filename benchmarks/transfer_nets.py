"""Undefended MNIST networks of the defended one's architecture: the ensemble that transfer starts from.

python benchmarks/transfer_nets.py   trains them again into benchmarks/weights; needs the training split of data:mnist.
"""

from __future__ import annotations

from pathlib import Path

import click
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from advplug import load

WEIGHTS = Path(__file__).parent / "weights"
SEEDS = (11, 12, 13)
"""Not the seed of the shipped preset ``mnist``, which stands for a network that the attacker has not seen."""


def members() -> list[nn.Module]:
    """The networks, in evaluation mode with frozen parameters."""
    return [_stored(seed) for seed in SEEDS]


def _stored(seed: int) -> nn.Module:
    net: nn.Module = load("defense:adversarial-training")().network("mnist")
    net.load_state_dict({name: value.float() for name, value in load_file(_file(seed)).items()})
    return net.eval().requires_grad_(False)


def _file(seed: int) -> Path:
    return WEIGHTS / f"mnist-member-{seed}.safetensors"


@click.command()
def main() -> None:
    """Train them as the preset ``mnist`` is trained, on none of the shipped digits; store half-precision weights."""
    torch.set_num_threads(1)
    defense = load("defense:adversarial-training")()
    images, test = load("data:mnist")().load("train-disjoint"), load("data:mnist")().load("shipped")
    WEIGHTS.mkdir(exist_ok=True)
    for seed in SEEDS:
        net = defense.train("mnist", images, seed=seed, device="cpu", on_epoch=lambda *_: None)
        save_file({name: value.half() for name, value in net.state_dict().items()}, _file(seed))
        with torch.no_grad():
            right = (_stored(seed)(test.inputs).argmax(1) == test.labels).float().mean()
        click.echo(f"seed {seed}: {right:.2%} of {len(test)} shipped digits")


if __name__ == "__main__":
    main()
