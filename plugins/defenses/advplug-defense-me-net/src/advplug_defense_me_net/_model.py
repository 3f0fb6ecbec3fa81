"""The deployed classifier: mask, estimate, classify."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from advplug.model import DefendedModel
from advplug_defense_me_net._estimation import Estimator


class Masked(DefendedModel):
    """ME-Net (Yang et al. 2019): ``base`` sees what is estimated of an image under a fresh random mask.

    Masks come from torch's global generator. Like the authors in their own attack, the backward pass takes mask and
    estimation for the identity.

    Parameters
    ----------
    base: from images (N, C, H, W) in [0, 1] to logits (N, K).
    estimator: completes the matrix (N, H, C * W) of all channels side by side, with values in [-1, 1].
    observed: probability that a mask keeps a value.
    num_classes: number of classes K.
    """

    stochastic = True

    def __init__(self, base: nn.Module, estimator: Estimator, *, observed: float = 0.5, num_classes: int = 10) -> None:
        super().__init__(num_classes)
        self.base = base
        self.estimator = estimator
        self.observed = observed

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, K) under one fresh mask for each image ``x`` (N, C, H, W) in [0, 1]."""
        return self._answer(x, None)

    def sample(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Logits (N, K) under masks drawn from ``generator`` on the CPU."""
        return self._answer(x, generator)

    def _answer(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        probability = x.new_full((len(x),), self.observed)
        estimate = estimated(x.detach(), probability, self.estimator, generator)
        return cast(Tensor, self.base(x + (estimate - x).detach()))


class Bare(DefendedModel):
    """The control: the network under the defense, on images as they are."""

    def __init__(self, base: nn.Module, num_classes: int = 10) -> None:
        super().__init__(num_classes)
        self.base = base

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, K) for images (N, C, H, W) in [0, 1]."""
        return cast(Tensor, self.base(x))


@torch.no_grad()
def estimated(x: Tensor, observed: Tensor, estimator: Estimator, generator: torch.Generator | None = None) -> Tensor:
    """Images like ``x`` (N, C, H, W) in [0, 1], estimated from the share ``observed`` (N,) of their values."""
    # Drawn on the CPU, so that a seed means the same masks on every device.
    drawn = torch.rand(x.shape, generator=generator).to(x)
    mask = (drawn < observed.view(-1, 1, 1, 1)).to(x)
    found = estimator(_side_by_side(2 * x - 1), _side_by_side(mask))
    channels = found.unflatten(2, (x.shape[1], x.shape[3])).permute(0, 2, 1, 3)
    return cast(Tensor, (channels.clamp(-1, 1) + 1) / 2)


def _side_by_side(x: Tensor) -> Tensor:
    """The channels of ``x`` (N, C, H, W) in one matrix (N, H, C * W)."""
    return x.permute(0, 2, 1, 3).flatten(2)
