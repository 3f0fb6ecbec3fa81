"""Which phrase each sample shall be heard as."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from advplug.transcription import NONE, packed, unpacked


@dataclass(frozen=True)
class EverySymbolChanged:
    """A phrase of the same length that has another symbol at each place.

    It follows from the label alone, so that a sample has the same target in every batch.

    Parameters
    ----------
    symbols: how many there are, at least two.
    """

    symbols: int

    def __call__(self, labels: Tensor) -> Tensor:
        """Targets int64 (N,) for ``labels`` int64 (N,)."""
        rows = unpacked(labels, self.symbols)
        places = torch.arange(rows.shape[1], device=labels.device)
        shifts = 1 + (labels[:, None] // (self.symbols + 1) ** places + 7 * places) % (self.symbols - 1)
        return packed(torch.where(rows == NONE, NONE, (rows + shifts) % self.symbols), self.symbols)
