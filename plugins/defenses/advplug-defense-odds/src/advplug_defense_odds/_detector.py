"""The statistical test (Roth et al. 2019, section 3): how logits drift when the input gets noise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from advplug_defense_odds._noise import Noise

THRESHOLD = 3.0902323
"""The 0.999 quantile of the standard normal distribution."""

ROWS = 256
"""Noisy inputs in one forward pass: larger batches fall out of the caches of a CPU."""

LEAST = 3
"""A predicted class with fewer clean images has no statistics, and is never flagged."""

Logits = Callable[[Tensor], Tensor]


class Alignments(nn.Module):
    """Mean and standard deviation of the drift on clean images, and the z-score of an input.

    The alignment of an input x, predicted as p, with another class i is the mean over the noise n of
    ``[z_i(x + n) - z_p(x + n)] - [z_i(x) - z_p(x)]``. On the last linear layer this is
    ``(w_p - w_i) . (h(x) - h(x + n))`` of the paper.

    Parameters
    ----------
    noises: the kinds of noise; their z-scores are averaged.
    draws: noisy copies of each input for every kind.
    num_classes: number of classes K.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, noises: Sequence[Noise], draws: int, num_classes: int) -> None:
        super().__init__()
        self.noises = tuple(noises)
        self.draws = draws
        shape = (len(self.noises), num_classes, num_classes)
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("std", torch.full(shape, torch.inf))  # no statistics: every z-score is zero

    def forward(self, logits: Logits, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, K) of ``x`` (N, ...), and its alignments (kinds of noise, N, K): 0 for the predicted class."""
        clean = logits(x)
        own = clean.argmax(1, keepdim=True)
        gaps = clean - clean.gather(1, own)
        drifts = []
        for noise in self.noises:
            noisy = self._mean_logits(logits, noise, x)
            drifts.append(noisy - noisy.gather(1, own) - gaps)
        return clean, torch.stack(drifts)

    def scores(self, predicted: Tensor, alignments: Tensor) -> Tensor:
        """The largest z-score over the other classes, (N,), for alignments (kinds, N, K) and ``predicted`` (N,)."""
        z = ((alignments - self.mean[:, predicted]) / self.std[:, predicted]).mean(0)
        return z.scatter(1, predicted[:, None], -torch.inf).amax(1)

    def calibrate(self, logits: Logits, batches: Iterable[Tensor]) -> None:
        """Take mean and standard deviation over clean images, grouped by predicted class."""
        predicted, alignments = [], []
        for x in batches:
            clean, drift = self(logits, x)
            predicted.append(clean.argmax(1))
            alignments.append(drift)
        classes, drifts = torch.cat(predicted), torch.cat(alignments, 1)
        for p in range(self.mean.shape[1]):
            own = drifts[:, classes == p]
            if own.shape[1] >= LEAST:
                self.mean[:, p], self.std[:, p] = own.mean(1), own.std(1)
            else:
                self.mean[:, p], self.std[:, p] = 0.0, torch.inf
            self.std[:, p, p] = torch.inf

    def _mean_logits(self, logits: Logits, noise: Noise, x: Tensor) -> Tensor:
        """Mean logits (N, K) over the noisy copies of ``x``."""
        total = torch.zeros((), device=x.device)
        at_once = max(1, ROWS // max(1, len(x)))
        for first in range(0, self.draws, at_once):
            count = min(at_once, self.draws - first)
            copies = noise(x.expand(count, *x.shape)).flatten(0, 1)
            total = total + torch.cat([logits(part) for part in copies.split(ROWS)]).unflatten(0, (count, len(x))).sum(
                0
            )
        return total / self.draws
