"""The contract of attack:alma and attack:trust-region."""

from __future__ import annotations

import pytest
from advplug_attack_minimum_norm._alma import ALMA

from advplug.testing import conformance

test_alma = conformance("attack:alma")
test_trust_region = conformance("attack:trust-region")


@pytest.fixture(autouse=True)
def fewer_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The contract does not depend on their number."""
    defaults = ALMA.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "steps", 200)
