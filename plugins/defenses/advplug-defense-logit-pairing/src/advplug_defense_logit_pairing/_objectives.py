"""The training losses: cross-entropy, and what is asked of the logits beside it."""

from __future__ import annotations

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


def _noisy(batch: Batch, noise: float) -> Tensor:
    """The images under Gaussian noise, back in [0, 1]; drawn on the CPU, so that a seed means the same everywhere."""
    return (batch.x + noise * torch.randn(batch.x.shape, generator=batch.generator).to(batch.x)).clamp(0, 1)


@dataclass(frozen=True)
class CleanPairing:
    """Clean logit pairing (CLP): the logits of random pairs of images, of any classes, are drawn together.

    Parameters
    ----------
    weight: of the pairing beside cross-entropy.
    noise: standard deviation of the Gaussian noise on every image.
    """

    weight: float
    noise: float

    def __call__(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """The loss, and the logits (N, K) of the noisy images; the shuffled batch is paired half with half."""
        logits: Tensor = model(_noisy(batch, self.noise))
        half = len(logits) // 2
        loss = F.cross_entropy(logits, batch.y) + self.weight * pairing(logits[:half], logits[half : 2 * half])
        return loss, logits


@dataclass(frozen=True)
class Squeezing:
    """Logit squeezing (LSQ): logits are kept short.

    Parameters
    ----------
    weight: of the squeezing beside cross-entropy.
    noise: standard deviation of the Gaussian noise on every image.
    """

    weight: float
    noise: float

    def __call__(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """The loss, and the logits (N, K) of the noisy images."""
        logits: Tensor = model(_noisy(batch, self.noise))
        return F.cross_entropy(logits, batch.y) + self.weight * squeezing(logits), logits


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
        assert batch.adversarial is not None, "a recipe with this objective has an adversary"
        clean, adversarial = model(torch.cat((batch.x, batch.adversarial))).chunk(2)
        loss = self.clean * F.cross_entropy(clean, batch.y) + self.adversarial * F.cross_entropy(adversarial, batch.y)
        return loss + self.weight * pairing(clean, adversarial), adversarial
