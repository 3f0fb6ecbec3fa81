"""An MNIST network, plain and defensively distilled (Papernot et al. 2016), small enough to train in minutes.

python benchmarks/distillation.py   trains both again into benchmarks/weights; needs the training split of data:mnist.
"""

from __future__ import annotations

from pathlib import Path

import click
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from advplug import load

WEIGHTS = Path(__file__).parent / "weights"
TEMPERATURE = 100.0
EPOCHS = 8
IMAGES = 50_000


def network() -> nn.Module:
    """Two convolutions and a hidden layer."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 5, 2, 2),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, 2, 1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 49, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def pair() -> tuple[nn.Module, nn.Module]:
    """The plain network and the distilled one, in evaluation mode with frozen parameters."""
    return _stored("plain"), _stored("distilled")


def _stored(name: str) -> nn.Module:
    net = network()
    net.load_state_dict(load_file(WEIGHTS / f"mnist-{name}.safetensors"))
    return net.eval().requires_grad_(False)


def train(net: nn.Module, x: Tensor, q: Tensor, *, temperature: float, epochs: int, seed: int) -> nn.Module:
    """Fit ``softmax(net(x) / temperature)`` to the distributions ``q`` (N, K) with Adam and cosine decay."""
    generator = torch.Generator().manual_seed(seed)
    steps = epochs * (len(x) // 128)
    optimiser = torch.optim.Adam(net.parameters(), 2e-3)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=generator).split(128)[: len(x) // 128]:
            loss = F.cross_entropy(net(x[rows]) / temperature, q[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            decay.step()
    return net


@click.command()
def main() -> None:
    """Train the plain network, the teacher at T = 100, and the student on its soft labels."""
    torch.set_num_threads(1)
    images, test = load("data:mnist")().load("train", IMAGES), load("data:mnist")().load("shipped")
    hard = F.one_hot(images.labels, 10).float()
    torch.manual_seed(0)
    plain = train(network(), images.inputs, hard, temperature=1.0, epochs=EPOCHS, seed=0)
    torch.manual_seed(1)
    start = train(
        network(), images.inputs, hard, temperature=1.0, epochs=1, seed=1
    )  # teacher and student start from the same weights
    first = {name: value.clone() for name, value in start.state_dict().items()}
    teacher = train(start, images.inputs, hard, temperature=TEMPERATURE, epochs=EPOCHS, seed=2)
    with torch.no_grad():
        soft = torch.cat([(teacher(part) / TEMPERATURE).softmax(1) for part in images.inputs.split(1000)])
    student = network()
    student.load_state_dict(first)
    distilled = train(student, images.inputs, soft, temperature=TEMPERATURE, epochs=EPOCHS, seed=3)
    WEIGHTS.mkdir(exist_ok=True)
    for name, net in (("plain", plain), ("distilled", distilled)):
        with torch.no_grad():
            logits = net(test.inputs)
        right = (logits.argmax(1) == test.labels).float().mean()
        click.echo(f"{name}: {right:.2%} of {len(test)} shipped digits, mean largest logit {logits.amax(1).mean():.1f}")
        save_file(net.state_dict(), WEIGHTS / f"mnist-{name}.safetensors")


if __name__ == "__main__":
    main()
