"""The contract of each attack."""

from __future__ import annotations

import pytest
from advplug_attack_sparse import JSMA, VFGA, SigmaZero, SparseRS

from advplug.testing import conformance

FEWER = ((SigmaZero, "steps", 100), (SparseRS, "queries", 200), (JSMA, "steps", 100), (VFGA, "steps", 50))

test_sigma_zero = conformance("attack:sigma-zero")
test_sparse_rs = conformance("attack:sparse-rs")
test_jsma = conformance("attack:jsma")
test_vfga = conformance("attack:vfga")


@pytest.fixture(autouse=True)
def fewer_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The contract does not depend on their number, and the defaults take minutes: `advplug check` has them."""
    for attack, name, number in FEWER:
        monkeypatch.setitem(attack.__init__.__kwdefaults__, name, number)
