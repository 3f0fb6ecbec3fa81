"""Matrix estimation: a whole matrix from the entries that a mask leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

Estimator = Callable[[Tensor, Tensor], Tensor]
"""``estimator(matrix, mask)`` (N, H, W) from the observed entries: those of ``matrix`` where ``mask`` is 1."""


@dataclass(frozen=True)
class USVT:
    """Universal singular value thresholding (Chatterjee 2015), with a fixed number of singular values.

    The largest ones of the masked matrix are kept, then divided by the share of observed entries. As many as the
    authors keep leave almost everything, the mask included.

    Parameters
    ----------
    share: of the singular values that are kept.
    """

    share: float = 0.8

    def __call__(self, matrix: Tensor, mask: Tensor) -> Tensor:
        masked = matrix * mask
        rows, columns = masked.shape[1:]
        if rows > columns:
            masked = masked.mT
        kept = max(1, int(self.share * min(rows, columns)))
        # The left singular vectors are the eigenvectors of the small square, in ascending order.
        vectors = torch.linalg.eigh(masked @ masked.mT).eigenvectors[:, :, -kept:]
        found = vectors @ (vectors.mT @ masked)
        if rows > columns:
            found = found.mT
        seen = mask.mean((1, 2), keepdim=True).clamp(min=1 / mask[0].numel())
        return cast(Tensor, found / seen)


@dataclass(frozen=True)
class NuclearNorm:
    """The X that makes ``mu ||X||_* + ||mask * (X - matrix)||_F^2`` least, by proximal gradient steps.

    With a step of a half, one is: put in the observed entries, then lower every singular value by mu / 2 (Soft-Impute,
    Mazumder et al. 2010). The authors solve it with a general cone solver.

    Parameters
    ----------
    mu: weight of the nuclear norm.
    steps: proximal steps, with Nesterov's momentum.
    """

    mu: float = 1.0
    steps: int = 50

    def __call__(self, matrix: Tensor, mask: Tensor) -> Tensor:
        found = ahead = torch.zeros_like(matrix)
        for step in range(self.steps):
            left, values, right = torch.linalg.svd(ahead + mask * (matrix - ahead), full_matrices=False)
            before, found = found, (left * (values - self.mu / 2).clamp(min=0)[:, None]) @ right
            ahead = found + step / (step + 3) * (found - before)
        return found
