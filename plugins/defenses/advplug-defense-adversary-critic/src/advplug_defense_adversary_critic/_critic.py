"""The critic: which images of a class are real."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Noise(nn.Module):
    """Adds Gaussian noise of standard deviation ``size`` in training mode, from torch's global generator on the CPU."""

    def __init__(self, size: float) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return x + self.size * torch.randn(x.shape).to(x) if self.training else x


class Critic(nn.Sequential):
    """Two hidden layers with noise before each, as in the thesis; one logit for each class: is it real?

    Parameters
    ----------
    inputs: values of an image.
    classes: outputs.
    width: of the hidden layers.
    """

    def __init__(self, inputs: int, classes: int, width: int = 1200) -> None:
        super().__init__(
            nn.Flatten(),
            Noise(0.1),
            nn.Linear(inputs, width),
            nn.LeakyReLU(0.2),
            Noise(0.5),
            nn.Linear(width, width),
            nn.LeakyReLU(0.2),
            Noise(0.5),
            nn.Linear(width, classes),
        )
