"""How much two transcriptions of the same words differ."""

from __future__ import annotations

import torch
from torch import Tensor

from advplug.transcription import lengths, unpacked


def character_error_rates(first: Tensor, second: Tensor, symbols: int) -> Tensor:
    """Edits per symbol between the beginnings of sequences, float32 (N,), for their numbers, int64 (N,) each.

    Both are cut to the length k of the shorter one, and the Levenshtein distance is divided by k, as in the authors'
    code. Where one of them alone is empty, which their code does not foresee, the rate is 1.
    """
    shorter = torch.minimum(lengths(first, symbols), lengths(second, symbols))
    one, other = unpacked(first, symbols), unpacked(second, symbols)
    most = int(shorter.max()) if len(shorter) else 0
    edits = torch.zeros_like(shorter)
    line = [torch.full_like(shorter, column) for column in range(most + 1)]
    for row in range(1, most + 1):
        above, line = line, [torch.full_like(shorter, row)]
        for column in range(1, most + 1):
            changed = (one[:, row - 1] != other[:, column - 1]).long()
            ways = torch.stack((above[column] + 1, line[column - 1] + 1, above[column - 1] + changed))
            line.append(ways.amin(0))
        edits = torch.where(shorter == row, line[row], edits)
    rates = edits / shorter.clamp(min=1)
    return torch.where(shorter > 0, rates, (first != second).float())
