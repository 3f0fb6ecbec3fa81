"""The training losses: cross-entropy, and what is asked of the logits beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from advplug.training import Batch


def pairing(first: Tensor, second: Tensor) -> Tensor:
    """Mean squared difference of the entries of two sets of logits (n, K), a scalar."""
    return F.mse_loss(first, second)


def squeezing(logits: Tensor) -> Tensor:
    """Mean Euclidean length of logits (n, K), not squared, a scalar."""
    return cast(Tensor, torch.linalg.vector_norm(logits, dim=1).mean())


def clean_pairing(logits: Tensor) -> Tensor:
    """:func:`pairing` of the two halves of a shuffled batch (n, K): random pairs of images of any classes."""
    half = len(logits) // 2
    return pairing(logits[:half], logits[half : 2 * half])


@dataclass(frozen=True)
class Penalised:
    """Cross-entropy on noisy images and a penalty on their logits: clean logit pairing (CLP), logit squeezing (LSQ).

    Parameters
    ----------
    penalty: of the logits (n, K) of a batch, a scalar: :func:`clean_pairing` or :func:`squeezing`.
    weight: of the penalty beside cross-entropy.
    noise: standard deviation of the Gaussian noise on every image, which is cut to [0, 1] again.
    """

    penalty: Callable[[Tensor], Tensor]
    weight: float
    noise: float

    def __call__(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """The loss, and the logits (N, K) of the noisy images."""
        # Drawn on the CPU, so that a seed means the same noise on every device.
        noise = torch.randn(batch.x.shape, generator=batch.generator).to(batch.x)
        logits: Tensor = model((batch.x + self.noise * noise).clamp(0, 1))
        return F.cross_entropy(logits, batch.y) + self.weight * self.penalty(logits), logits


@dataclass(frozen=True)
class MixedBatch:
    """Adversarial training on clean and adversarial images at once, with adversarial logit pairing (ALP) if weighted.

    Parameters
    ----------
    clean, adversarial: weights of the cross-entropy on either.
    weight: of the pairing of each image with its adversarial one.
    """

    clean: float = 0.5
    adversarial: float = 0.5
    weight: float = 0.0

    def __call__(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """The loss, and the logits (N, K) of the adversarial images."""
        assert batch.adversarial is not None, "training with this loss has an adversary"
        clean, adversarial = model(torch.cat((batch.x, batch.adversarial))).chunk(2)
        loss = self.clean * F.cross_entropy(clean, batch.y) + self.adversarial * F.cross_entropy(adversarial, batch.y)
        return loss + self.weight * pairing(clean, adversarial), adversarial
