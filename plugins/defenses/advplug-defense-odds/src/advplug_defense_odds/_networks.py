"""The authors' classifier: the wide residual network of the CIFAR-10 challenge of Madry et al., 32 layers, 10 wide."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from advplug.model import DefendedModel

SLOPE = 0.1  # of the leaky ReLU


class Block(nn.Module):
    """Two convolutions behind batch normalisation; the shortcut averages over the stride and adds empty channels.

    ``early``: the shortcut starts behind the first activation, as in the first block of the network.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, early: bool) -> None:
        super().__init__()
        self.early = early
        self.stride = stride
        self.missing = outputs - inputs
        self.before = nn.Sequential(nn.BatchNorm2d(inputs), nn.LeakyReLU(SLOPE))
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Responses (N, outputs, H / stride, W / stride)."""
        active = self.before(x)
        shortcut = active if self.early else x
        if self.stride > 1:
            shortcut = F.avg_pool2d(shortcut, self.stride)
        half = self.missing // 2
        return cast(Tensor, self.body(active) + F.pad(shortcut, (0, 0, 0, 0, half, self.missing - half)))


class WideResNet(DefendedModel):
    """Three groups of residual blocks and a linear layer on their mean response, for images (N, 3, 32, 32).

    Parameters
    ----------
    blocks: in each group; 5 make 32 layers.
    width: factor of the channels 16, 32 and 64 of the groups.
    """

    def __init__(self, blocks: int = 5, width: int = 10) -> None:
        super().__init__(10)
        layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, 1, 1, bias=False)]
        inputs = 16
        for group, channels in enumerate((16, 32, 64)):
            for number in range(blocks):
                stride = 2 if group and not number else 1
                layers.append(Block(inputs, channels * width, stride, early=not (group or number)))
                inputs = channels * width
        self.layers = nn.Sequential(*layers, nn.BatchNorm2d(inputs), nn.LeakyReLU(SLOPE))
        self.head = nn.Linear(inputs, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, 10) for images (N, 3, 32, 32) in [0, 1], each of which is standardised by itself."""
        std, mean = torch.std_mean(x.flatten(1), dim=1, correction=0)
        least = x[0].numel() ** -0.5
        x = (x - mean.view(-1, 1, 1, 1)) / std.clamp(min=least).view(-1, 1, 1, 1)
        return cast(Tensor, self.head(self.layers(x).mean((2, 3))))
