"""The training loss: cross-entropy of each member, and a reward for members that differ."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from advplug.training import Batch
from advplug_defense_adp._ensemble import MeanProbability

RIDGE = 1e-6
"""Added to the diagonal before the determinant is taken, as in the authors' code."""


@dataclass(frozen=True)
class DiversityPromoting:
    """``sum_m CE(f_m, y) - alpha H(F) - beta log det(V V^T)``, the mean over the batch (Pang et al. 2019, eq. 7 and 8).

    H is the entropy of the mean probability F of all members. The paper's squared volume, of which this is the
    logarithm, is that of the members' predictions without the true class, each of length 1; see :func:`diversity`.
    All members learn at once from the same images.

    Parameters
    ----------
    alpha: weight of the entropy.
    beta: weight of the diversity.
    """

    alpha: float = 2.0
    beta: float = 0.5

    def __call__(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """The loss and the logarithm of the mean probability (N, 10)."""
        assert isinstance(model, MeanProbability)
        members = model.member_logits(batch.x).log_softmax(2)
        mean = members.logsumexp(1) - torch.tensor(members.shape[1]).log()
        loss = sum(F.cross_entropy(member, batch.y) for member in members.unbind(1))
        if self.alpha:
            loss = loss + self.alpha * (mean.exp() * mean).sum(1).mean()
        if self.beta:
            loss = loss - self.beta * diversity(members, batch.y).mean()
        return torch.as_tensor(loss), mean


def diversity(members: Tensor, labels: Tensor) -> Tensor:
    """``log det(V V^T + 1e-6 I)`` (N,), where row m of V is what member m predicts besides the true class, at length 1.

    Parameters
    ----------
    members: logarithms of the probabilities of each member, (N, M, K).
    labels: true classes, int64 (N,).
    """
    others = members.masked_fill(F.one_hot(labels, members.shape[2])[:, None].bool(), -torch.inf)
    # Lengths are divided out before the exponential: the probabilities of a certain member all underflow.
    rows = (others - (2 * others).logsumexp(2, keepdim=True) / 2).exp()
    ridge = RIDGE * torch.eye(members.shape[1], dtype=members.dtype, device=members.device)
    determinant: Tensor = torch.logdet(rows @ rows.mT + ridge)
    return determinant
