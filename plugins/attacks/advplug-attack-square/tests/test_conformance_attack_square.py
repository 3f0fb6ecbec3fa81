"""The contract of attack:square."""

from __future__ import annotations

import pytest
from advplug_attack_square import Square

from advplug.testing import conformance

test_conformance = conformance("attack:square")


@pytest.fixture(autouse=True)
def fewer_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    """The contract does not depend on their number, and the defaults take minutes: `advplug check` has them."""
    monkeypatch.setitem(Square.__init__.__kwdefaults__, "queries", 200)
