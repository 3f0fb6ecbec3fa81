"""The networks of the benchmarks."""

from __future__ import annotations

import torch
from torch import Tensor, nn


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


class _Block(nn.Module):
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
        blocks += [_Block(width, after, stride), _Block(after, after, 1)]
        width = after
    stem = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))


def attacked_samples(device: str) -> list[tuple[str, nn.Module, Tensor, Tensor, float]]:
    """Real digits and trained networks, at a budget that leaves some samples standing."""
    from advplug.manager import load

    digits = load("data:mnist")().load("shipped", 256).to(device)
    defense = load("defense:kwta")()
    return [
        (f"kWTA preset {preset}", defense.build(preset, device), digits.inputs, digits.labels, epsilon)
        for preset, epsilon in (("mnist-relu", 0.1), ("mnist-at", 0.2))
    ]
