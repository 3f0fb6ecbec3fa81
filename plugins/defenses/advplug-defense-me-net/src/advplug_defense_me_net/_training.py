"""The training loss: images under random masks, clean or adversarial."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from advplug.training import Batch
from advplug_defense_me_net._estimation import Estimator
from advplug_defense_me_net._model import estimated


@dataclass(frozen=True, kw_only=True)
class UnderMasks:
    """Cross-entropy of the network under the defense, which sees each image under a fresh mask.

    The authors draw ten masks for each image beforehand.

    Parameters
    ----------
    estimator: that of the defense.
    least, most: the share of observed values, uniform between them.
    """

    estimator: Estimator
    least: float
    most: float

    def __call__(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """The mean over the batch, and the logits (N, K) under the masks."""
        share = self.least + (self.most - self.least) * torch.rand(len(batch.x), generator=batch.generator)
        logits: Tensor = model(estimated(batch.x, share.to(batch.x), self.estimator, batch.generator))
        return F.cross_entropy(logits, batch.y), logits
