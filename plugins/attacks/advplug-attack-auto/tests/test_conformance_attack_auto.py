"""The contract of attack:auto."""

from __future__ import annotations

import pytest
from advplug_attack_auto import Auto
from advplug_attack_standard import Standard

from advplug.testing import conformance

test_conformance = conformance("attack:auto")


@pytest.fixture(autouse=True)
def fewer_queries_and_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    """The contract does not depend on their number, and the defaults take minutes: `advplug check` has them."""
    monkeypatch.setitem(Standard.__init__.__kwdefaults__, "queries", 200)
    monkeypatch.setitem(Auto.__init__.__kwdefaults__, "trials", 3)
