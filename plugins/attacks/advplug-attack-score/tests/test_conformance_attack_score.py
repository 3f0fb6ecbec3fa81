"""The contract of attack:simba and attack:spsa."""

from __future__ import annotations

import pytest
from advplug_attack_score import SPSA, SimBA

from advplug.testing import conformance

test_simba = conformance("attack:simba")
test_spsa = conformance("attack:spsa")


@pytest.fixture(autouse=True)
def fewer_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    """The contract does not depend on their number: `advplug check` has the defaults."""
    monkeypatch.setitem(SimBA.__init__.__kwdefaults__, "queries", 500)
    monkeypatch.setitem(SPSA.__init__.__kwdefaults__, "steps", 40)
    monkeypatch.setitem(SPSA.__init__.__kwdefaults__, "draws", 16)
