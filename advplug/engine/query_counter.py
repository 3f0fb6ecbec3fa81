"""The count of the passes that a search spends on each sample."""

from __future__ import annotations

import torch
from torch import Tensor


class QueryCounter:
    """Forward and backward passes of each sample, int64 (N,), on the device of the samples.

    ``rows`` says which samples the batch holds and ``live`` which of them still search: a sample that is done but
    waits in the batch for the next compaction is not charged, so the count does not depend on its batch-mates.
    """

    def __init__(self, samples: int, device: torch.device) -> None:
        self.forwards = torch.zeros(samples, dtype=torch.int64, device=device)
        self.backwards = torch.zeros_like(self.forwards)
        self.rows = torch.arange(samples, device=device)
        self.live = torch.ones(samples, dtype=torch.int64, device=device)

    def forward(self, copies: int = 1) -> None:
        """Charge ``copies`` forward passes to every live row."""
        self.forwards.index_add_(0, self.rows, self.live, alpha=copies)

    def backward(self, copies: int = 1) -> None:
        """Charge ``copies`` backward passes to every live row."""
        self.backwards.index_add_(0, self.rows, self.live, alpha=copies)

    def charge(self, forwards: Tensor, backwards: Tensor) -> None:
        """Charge passes, int64 (n,), to the rows of the batch."""
        self.forwards.index_add_(0, self.rows, forwards)
        self.backwards.index_add_(0, self.rows, backwards)

    def any_row_of_sample(self, flags: Tensor) -> Tensor:
        """Whether any row of the same sample has its flag, for bool (n,) flags of the rows."""
        counts = torch.zeros_like(self.forwards).index_add_(0, self.rows, flags.long())
        return counts[self.rows] > 0
