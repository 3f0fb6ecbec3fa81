"""The detector: how far the probabilities of an input are from the usual ones of its class."""

from __future__ import annotations

import torch
from torch import Tensor, nn

MOST_DEVIATIONS = 3.0
"""No threshold is further above the mean of its class, in standard deviations; nor is one below the mean."""


class KLDetector(nn.Module):
    """KL divergence from the mean probabilities of the predicted class to those of the input (Li et al. 2019).

    Parameters
    ----------
    classes: number of classes K.
    """

    usual: Tensor
    limit: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.register_buffer("usual", torch.full((classes, classes), 1 / classes))
        self.register_buffer("limit", torch.full((classes,), torch.inf))

    def excess(self, logits: Tensor, labels: Tensor) -> Tensor:
        """By how much the divergence of ``logits`` (N, K) exceeds the threshold of its class in ``labels``, (N,)."""
        return self.divergence(logits, labels) - self.limit[labels]

    def divergence(self, logits: Tensor, labels: Tensor) -> Tensor:
        """sum_j m_j (log m_j - log p_j), (N,), with m the mean probabilities of the class in ``labels`` (N,)."""
        usual = self.usual[labels].to(logits)
        divergence: Tensor = torch.special.xlogy(usual, usual) - usual * logits.log_softmax(1)
        return divergence.sum(1)

    @torch.no_grad()
    def calibrate(self, logits: Tensor, labels: Tensor, rejected: float) -> None:
        """Means and thresholds from ``logits`` (M, K) of training images of the true ``labels`` (M,).

        A class rejects the share ``rejected`` of its images, unless the threshold would be further from the mean than
        ``MOST_DEVIATIONS`` allows.
        """
        for label in labels.unique().tolist():
            own = labels == label
            self.usual[label] = logits[own].softmax(1).mean(0)
            divergence = self.divergence(logits[own], labels[own])
            mean, deviation = divergence.mean(), divergence.std(correction=0)
            threshold = divergence.double().quantile(1 - rejected).to(mean)
            self.limit[label] = threshold.clamp(mean, mean + MOST_DEVIATIONS * deviation)
