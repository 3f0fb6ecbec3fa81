"""The networks of the benchmarks, with inputs and a budget."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Case(NamedTuple):
    """A network in evaluation mode, images of shape (N, C, H, W) in [0, 1], labels of shape (N,), an linf budget."""

    name: str
    net: nn.Module
    x: Tensor
    y: Tensor
    epsilon: float


def small_net() -> nn.Module:
    """The usual small MNIST network: two convolutions, two dense layers."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(7 * 7 * 64, 256),
        nn.ReLU(),
        nn.Linear(256, 10),
    )


class ResidualBlock(nn.Module):
    """Two convolutions with batch normalisation, and a way around them."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            self.shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


def resnet18() -> nn.Module:
    """ResNet-18 for 32x32 images: stride 1 in the stem, no first pooling."""
    blocks: list[nn.Module] = []
    width = 64
    for after, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        blocks += [ResidualBlock(width, after, stride), ResidualBlock(after, after, 1)]
        width = after
    stem = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))


def random_inputs(device: str) -> list[Case]:
    """Untrained networks and noise, for what one step costs; the labels are what the network says."""
    torch.manual_seed(0)
    return [
        _case("MNIST net", small_net().to(device), torch.rand(128, 1, 28, 28).to(device), 0.1),
        _case("ResNet-18", resnet18().to(device), torch.rand(32, 3, 32, 32).to(device), 8 / 255),
    ]


def _case(name: str, net: nn.Module, x: Tensor, epsilon: float) -> Case:
    net.eval()
    with torch.no_grad():
        return Case(name, net, x, net(x).argmax(1), epsilon)


def real_digits(device: str) -> list[Case]:
    """Real digits and trained networks, at a budget that leaves some samples standing."""
    from advplug.plugins.manager import load

    digits = load("data:mnist")().load("shipped", 128).to(device)
    defense = load("defense:kwta")()
    return [
        Case(f"kWTA preset {preset}", defense.build(preset, device), digits.inputs, digits.labels, epsilon)
        for preset, epsilon in (("mnist-relu", 0.1), ("mnist-at", 0.2))
    ]
