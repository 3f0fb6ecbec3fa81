"""Thresholds that reject a stated share of clean images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from advplug.errors import InvalidInput

GRID = 1000


def joint_thresholds(scores: Tensor, rate: float, shares: Sequence[float]) -> Tensor:
    """One threshold for each score, (S,), that together reject at most the share ``rate`` of ``scores`` (N, S).

    The authors search a grid of thresholds for a given union of the rejections; many points of it have the same union.
    ``shares`` says in which proportion the scores take part, as each rejects about its share. The thresholds are the
    lowest in that proportion.

    Raises
    ------
    InvalidInput: no clean scores.
    """
    if not len(scores):
        raise InvalidInput("no clean image is left to calibrate on: the classifier gets none right")
    part = torch.tensor(shares) / sum(shares)
    thresholds = scores.amax(0)
    for alone in torch.linspace(0, 2 * rate, GRID).tolist():  # the sum of what each rejects by itself
        levels = (1 - alone * part).clamp(min=0).tolist()
        candidate = torch.stack(
            [
                torch.quantile(column, level, interpolation="higher")
                for column, level in zip(scores.T, levels, strict=True)
            ]
        )
        if float((scores > candidate).any(1).double().mean()) > rate:
            break
        thresholds = candidate
    return thresholds
