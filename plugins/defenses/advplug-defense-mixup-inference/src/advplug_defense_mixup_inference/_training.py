"""The training of the networks under the defense: mixup, and interpolated adversarial training."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from advplug.training import Batch


def mixup(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Mixup (Zhang et al. 2018) of weight uniform in [0, 1], which is Beta(1, 1), drawn for each image."""
    return _interpolated(model, batch.x, batch.y, batch.generator)


def interpolated_adversarial(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Half mixup of adversarial images, half mixup of clean ones (Lamb et al. 2019)."""
    assert batch.adversarial is not None, "training with this loss has an adversary"
    attacked, logits = _interpolated(model, batch.adversarial, batch.y, batch.generator)
    clean, _ = _interpolated(model, batch.x, batch.y, batch.generator)
    return (attacked + clean) / 2, logits


def _interpolated(model: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Cross-entropy of mixtures of ``x`` (N, C, H, W) with other images of the batch, and logits (N, K).

    The logits are those of the mixtures: the accuracy in the report is that on the label ``y`` of the first part.
    """
    order = torch.randperm(len(x), generator=generator).to(x.device)
    weight = torch.rand(len(x), generator=generator).to(x)
    share = weight.view(-1, 1, 1, 1)
    logits = model(share * x + (1 - share) * x[order])
    own, other = (F.cross_entropy(logits, labels, reduction="none") for labels in (y, y[order]))
    return (weight * own + (1 - weight) * other).mean(), logits
