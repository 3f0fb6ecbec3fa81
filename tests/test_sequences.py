"""Sequences as whole numbers: nothing is lost on the way, and what does not fit is refused."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from advplug.errors import InvalidInput
from advplug.transcription import NONE, beginnings, lengths, longest, packed, spelled, unpacked

SYMBOLS = 10
sequences = st.lists(st.lists(st.integers(0, SYMBOLS - 1), max_size=longest(SYMBOLS)), min_size=1, max_size=5)


def rows_of(found: list[list[int]]) -> torch.Tensor:
    width = max(map(len, found))
    rows = [[*one, *[NONE] * (width - len(one))] for one in found]
    return torch.tensor(rows, dtype=torch.int64).view(len(found), width)


@given(sequences)
def test_numbers_and_rows_are_each_others_inverse(found: list[list[int]]) -> None:
    numbers = packed(rows_of(found), SYMBOLS)
    assert torch.equal(unpacked(numbers, SYMBOLS), rows_of(found))
    assert lengths(numbers, SYMBOLS).tolist() == [len(one) for one in found]
    assert [spelled(int(number), "0123456789") for number in numbers] == ["".join(map(str, one)) for one in found]


@given(sequences, st.integers(0, 20))
def test_the_beginning_of_a_sequence(found: list[list[int]], count: int) -> None:
    cut = beginnings(packed(rows_of(found), SYMBOLS), torch.tensor(count), SYMBOLS)
    assert torch.equal(cut, packed(rows_of([one[:count] for one in found]), SYMBOLS))


def test_different_sequences_have_different_numbers() -> None:
    everything = torch.cartesian_prod(*[torch.arange(-1, 3)] * 3)
    in_order = everything[((everything >= 0).int().diff(dim=1) <= 0).all(1)]  # no symbol after an end
    assert len(packed(in_order, 3).unique()) == len(in_order) == 1 + 3 + 9 + 27


def test_an_end_within_a_row_is_no_symbol() -> None:
    assert packed(torch.tensor([[NONE, 4, NONE, 2]]), SYMBOLS) == packed(torch.tensor([[4, 2]]), SYMBOLS)


@pytest.mark.parametrize(("symbols", "length"), [(1, 63), (10, 18), (28, 12)])
def test_the_longest_sequence_fits_and_a_longer_one_does_not(symbols: int, length: int) -> None:
    assert longest(symbols) == length
    last = torch.full((1, length), symbols - 1)
    assert torch.equal(unpacked(packed(last, symbols), symbols), last)
    with pytest.raises(InvalidInput, match=f"holds {length}"):
        packed(torch.cat((last, last), 1), symbols)


@pytest.mark.parametrize("symbol", [-2, SYMBOLS])
def test_other_symbols_are_refused(symbol: int) -> None:
    with pytest.raises(InvalidInput, match="0 to 9"):
        packed(torch.tensor([[symbol]]), SYMBOLS)


def test_long_names_stand_apart() -> None:
    number = int(packed(torch.tensor([1, 0, 1]), 2))
    assert spelled(number, ("zero", "one")) == "one zero one"
    assert spelled(0, ("zero", "one")) == ""
