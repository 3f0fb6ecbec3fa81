"""The contract of attack:ead."""

from __future__ import annotations

import pytest
from advplug_attack_ead._ead import EAD

from advplug.testing import conformance

test_conformance = conformance("attack:ead")


@pytest.fixture(autouse=True)
def fewer_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The contract does not depend on their number, and the defaults take minutes: `advplug check` has them."""
    monkeypatch.setitem(EAD.__init__.__kwdefaults__, "steps", 100)
