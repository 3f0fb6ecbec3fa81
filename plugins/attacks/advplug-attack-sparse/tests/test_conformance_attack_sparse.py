"""The contract of each attack."""

from __future__ import annotations

import pytest
from advplug_attack_sparse import JSMA, VFGA, OnePixel, SigmaZero, SparseFool, SparseRS

from advplug.attack import Attack
from advplug.testing import conformance

FEWER: tuple[tuple[type[Attack], dict[str, int]], ...] = (
    (SigmaZero, {"steps": 100}),
    (SparseRS, {"queries": 200}),
    (JSMA, {"steps": 100}),
    (VFGA, {"steps": 50}),
    (SparseFool, {"steps": 60}),
    (OnePixel, {"population": 30, "generations": 15}),
)

test_sigma_zero = conformance("attack:sigma-zero")
test_sparse_rs = conformance("attack:sparse-rs")
test_jsma = conformance("attack:jsma")
test_vfga = conformance("attack:vfga")
test_sparsefool = conformance("attack:sparsefool")
test_one_pixel = conformance("attack:one-pixel")


@pytest.fixture(autouse=True)
def fewer_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The contract does not depend on their number, and the defaults take minutes: `advplug check` has them."""
    for attack, numbers in FEWER:
        for name, number in numbers.items():
            monkeypatch.setitem(attack.__init__.__kwdefaults__, name, number)
