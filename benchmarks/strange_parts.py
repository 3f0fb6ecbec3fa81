"""Models that are in themselves not one function: judged or differentiated, real or stand-in, here or there."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from advplug import DefendedModel


class BlurredWhenJudged(nn.Module):
    """A network that blurs its input, but not while gradients are recorded: the attack sees another function."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x if torch.is_grad_enabled() else F.avg_pool2d(x, 3, 1, 1))


class StoodFor(DefendedModel):
    """A network with another one as its surrogate."""

    def __init__(self, net: nn.Module, other: nn.Module) -> None:
        super().__init__(10)
        self.net, self.other = net, other

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

    def surrogate(self, x: Tensor) -> Tensor:
        return self.other(x)


class PartlyRounded(nn.Module):
    """A network whose scores are rounded, and without a gradient, where it answers with one of the first classes."""

    def __init__(self, net: nn.Module, classes: int = 3) -> None:
        super().__init__()
        self.net, self.classes = net, classes

    def forward(self, x: Tensor) -> Tensor:
        scores = self.net(x)
        return torch.where(scores.argmax(1, keepdim=True) < self.classes, scores.round(decimals=1), scores)
