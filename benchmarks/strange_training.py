"""Parts of strange models that are trained on 9,000 digits in seconds, and kept in the system's temporary folder.

The first 1,000 digits that ship are left out: the benchmarks attack those.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from advplug import load

KEPT_BACK = 1000
FORMAT = 1
"""Raise it whenever the training of a part changes: what is kept from before is then trained again."""

Objective = Callable[[nn.Module, Tensor, Tensor], Tensor]


def training_digits() -> tuple[Tensor, Tensor]:
    """Inputs (9000, 1, 28, 28) and labels (9000,)."""
    digits = load("data:mnist")().load("shipped")
    return digits.inputs[KEPT_BACK:], digits.labels[KEPT_BACK:]


def trained(name: str, build: Callable[[], nn.Module], objective: Objective, epochs: int) -> nn.Module:
    """``build()`` after some epochs on ``objective(net, x, y)``, the same whenever it is called; frozen.

    ``name`` is that of the file that keeps it.
    """
    file = Path(tempfile.gettempdir()) / f"advplug-strange-nets-{os.getuid()}" / f"{name}-{FORMAT}.safetensors"
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
        torch.manual_seed(0)
        net = build()
        if file.exists():
            net.load_state_dict(load_file(file))
        else:
            _fit(net.train(), objective, epochs)
            _keep(net, file)
    return net.eval().requires_grad_(False)


def _fit(net: nn.Module, objective: Objective, epochs: int) -> None:
    inputs, labels = training_digits()
    steps = epochs * (len(inputs) // 128)
    optimiser = torch.optim.Adam(net.parameters(), 3e-3)
    decay = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(inputs)).split(128)[: len(inputs) // 128]:
            loss = objective(net, inputs[rows], labels[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            decay.step()


def _keep(net: nn.Module, file: Path) -> None:
    file.parent.mkdir(exist_ok=True)
    half = file.with_suffix(f".{os.getpid()}")
    save_file(net.state_dict(), half)
    half.replace(file)


def classify(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy."""
    return F.cross_entropy(net(x), y)


def reconstruct(net: nn.Module, x: Tensor, _y: Tensor) -> Tensor:
    """Squared error between the input and what ``net`` makes of a noisy copy of it."""
    return F.mse_loss(net((x + 0.2 * torch.randn_like(x)).clamp(0, 1)), x)


class Straight(torch.autograd.Function):
    """``sign``, with the gradient of a clamped identity, for training through it."""

    @staticmethod
    def forward(context: torch.autograd.function.FunctionCtx, x: Tensor) -> Tensor:
        context.save_for_backward(x)
        return torch.where(x >= 0, 1.0, -1.0).to(x)

    @staticmethod
    def backward(context: torch.autograd.function.FunctionCtx, gradient: Tensor) -> Tensor:  # type: ignore[override]
        x: Tensor = context.saved_tensors[0]  # type: ignore[attr-defined]
        return torch.where(x.abs() <= 1, gradient, 0)


class Bits(nn.Module):
    """Signs of what comes in: straight-through while it trains, without a gradient afterwards."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            return Straight.apply(x)  # type: ignore[no-any-return]
        return torch.where(x >= 0, 1.0, -1.0).to(x)


class Patches(nn.Module):
    """Attention over the 49 patches of 4 x 4 pixels, a small vision transformer; ``tokens`` may change them."""

    def __init__(self, tokens: nn.Module | None = None) -> None:
        super().__init__()
        self.tokens = nn.Identity() if tokens is None else tokens
        self.embed = nn.Linear(16, 32)
        self.position = nn.Parameter(0.02 * torch.randn(49, 32))
        self.blocks = nn.Sequential(*(_Block() for _ in range(2)))
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        patches = F.unfold(x, 4, stride=4).transpose(1, 2)
        return self.head(self.blocks(self.embed(self.tokens(patches)) + self.position).mean(1))  # type: ignore[no-any-return]


class _Block(nn.Module):
    """Attention with four heads, then a perceptron."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(32), nn.LayerNorm(32)
        self.mix, self.out = nn.Linear(32, 96), nn.Linear(32, 32)
        self.think = nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32))

    def forward(self, x: Tensor) -> Tensor:
        count, length, width = x.shape
        parts = self.mix(self.before(x)).view(count, length, 3, 4, width // 4).permute(2, 0, 3, 1, 4)
        heads = F.scaled_dot_product_attention(*parts).transpose(1, 2).reshape(x.shape)
        x = x + self.out(heads)
        return x + self.think(self.between(x))  # type: ignore[no-any-return]
