"""Sequences of symbols as whole numbers, so that a transcription is a label like any other.

Symbol k of K is the digit k + 1 of a number of base K + 1, and no digit is 0: sequences of any length have different
numbers, and the empty one has 0. Sixty-three bits hold 18 symbols of 10, or 12 of 28.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from advplug.errors import InvalidInput

NONE = -1
"""Stands in a row of symbols after its last one."""


def longest(symbols: int) -> int:
    """How many of ``symbols`` different symbols, at least one, fit into a label."""
    length = 1
    while (symbols + 1) ** (length + 1) <= 2**63:
        length += 1
    return length


def packed(rows: Tensor, symbols: int) -> Tensor:
    """The numbers, int64 (...), of sequences in rows, int64 (..., L); ``NONE`` anywhere in a row is no symbol.

    Raises
    ------
    InvalidInput: a symbol that is none of ``symbols``, or more of them in a row than :func:`longest` says.
    """
    if bool(((rows < NONE) | (rows >= symbols)).any()):
        raise InvalidInput(f"symbols span {int(rows.min())} to {int(rows.max())}, not 0 to {symbols - 1}")
    length = int((rows != NONE).sum(-1).max()) if rows.numel() else 0
    if length > longest(symbols):
        raise InvalidInput(
            f"a sequence has {length} symbols: of {symbols} different ones a label holds {longest(symbols)}"
        )
    numbers = rows.new_zeros(rows.shape[:-1], dtype=torch.int64)
    for column in rows.unbind(-1):
        numbers = torch.where(column == NONE, numbers, numbers * (symbols + 1) + column + 1)
    return numbers


def unpacked(numbers: Tensor, symbols: int) -> Tensor:
    """The sequences in rows, int64 (..., L), of their numbers, int64 (...): the inverse of :func:`packed`.

    L is the length of the longest, and shorter ones end in ``NONE``.
    """
    columns, rest = [], numbers
    while bool((rest > 0).any()):
        columns.append(rest % (symbols + 1) - 1)
        rest = rest // (symbols + 1)
    if not columns:
        return numbers.new_empty((*numbers.shape, 0))
    backwards = torch.stack(columns, -1)
    places = lengths(numbers, symbols)[..., None] - 1 - torch.arange(len(columns), device=numbers.device)
    return backwards.gather(-1, places.clamp(min=0)).where(places >= 0, NONE)


def lengths(numbers: Tensor, symbols: int) -> Tensor:
    """How many symbols each sequence has, int64 (...), for their numbers, int64 (...)."""
    count, rest = torch.zeros_like(numbers), numbers
    while bool((rest > 0).any()):
        count = count + (rest > 0)
        rest = rest // (symbols + 1)
    return count


def beginnings(numbers: Tensor, count: Tensor, symbols: int) -> Tensor:
    """The first ``count`` symbols, int64 (...), of each sequence, or all of a shorter one, as numbers."""
    dropped = (lengths(numbers, symbols) - count).clamp(min=0)
    return numbers // torch.full_like(numbers, symbols + 1) ** dropped


def spelled(number: int, names: Sequence[str]) -> str:
    """The sequence behind ``number`` in the ``names`` of its symbols; names of one letter stand without spaces."""
    found = []
    while number > 0:
        number, digit = divmod(number, len(names) + 1)
        found.append(names[digit - 1])
    return ("" if all(len(name) == 1 for name in names) else " ").join(reversed(found))
