"""The deployed ensemble."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from advplug.families import Ensemble


class MeanProbability(Ensemble):
    """The mean of the members' probabilities (Pang et al. 2019). The module ``members`` gives the logits of each.

    Parameters
    ----------
    networks: from centred images to logits (N, 10).
    shape: of an image (C, H, W).

    Attributes
    ----------
    mean: the mean of the training images, which is subtracted first; (C, H, W).
    """

    outputs: ClassVar[Literal["logits", "probabilities"]] = "probabilities"
    mean: Tensor

    def __init__(self, networks: Iterable[nn.Module], shape: tuple[int, int, int]) -> None:
        super().__init__(networks, 10)
        self.register_buffer("mean", torch.zeros(shape))

    def forward(self, x: Tensor) -> Tensor:
        """Mean probabilities (N, 10) for images (N, C, H, W) in [0, 1]."""
        return self.member_logits(x).softmax(2).mean(1)

    def member_logits(self, x: Tensor) -> Tensor:
        """Logits (N, M, 10) of the M members."""
        return super().member_logits(x - self.mean)
