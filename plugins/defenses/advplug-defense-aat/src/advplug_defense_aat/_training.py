"""The training of the detectors: images of the own class as they are, all others after an attack on the detector."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from advplug.training import Adversary, Batch
from advplug_defense_aat._detectors import Detectors


@dataclass(frozen=True, kw_only=True)
class Asymmetrical:
    """Binary cross-entropy of every detector on images of its class and on attacked images of the others.

    Parameters
    ----------
    adversary: raises a detector's score of images of other classes.
    each: images of its class that a detector sees in each step, and as many others.
    """

    adversary: Adversary
    each: int

    def __call__(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """The mean over detectors and images; the logits are the scores of the clean images of ``batch``."""
        assert isinstance(model, Detectors), "this loss trains detectors"
        own = batch.y[:, None] == torch.arange(model.classes, device=batch.y.device)
        members, others = self._drawn(own, batch), self._drawn(~own, batch)
        side = torch.zeros(self.each, model.classes, dtype=torch.int64, device=others.device)
        attacked = self.adversary(_Sides(model), others, side, batch.generator)
        positive, negative = model.apart(torch.cat((members, attacked))).chunk(2)
        # A small batch may lack a class, or hold no other: that detector was given images of the wrong side.
        loss = F.softplus(-positive[:, own.any(0)]).mean() + F.softplus(negative[:, ~own.all(0)]).mean()
        with torch.no_grad():
            scores: Tensor = model(batch.x)
        return loss / 2, scores

    def _drawn(self, allowed: Tensor, batch: Batch) -> Tensor:
        """For each detector ``each`` images of those ``allowed`` bool (N, K), in one stack (each, K * C, H, W)."""
        weights = allowed.T.double().cpu() + torch.finfo(torch.float64).tiny
        rows = torch.multinomial(weights, self.each, replacement=True, generator=batch.generator)
        return batch.x[rows.T.to(batch.x.device)].flatten(1, 2)


class _Sides(nn.Module):
    """A detector as a classifier of two classes, other and own, of which other has the logit 0."""

    def __init__(self, detectors: Detectors) -> None:
        super().__init__()
        self.detectors = detectors

    def forward(self, stack: Tensor) -> Tensor:
        scores = self.detectors.apart(stack)
        return torch.stack((torch.zeros_like(scores), scores), 1)
