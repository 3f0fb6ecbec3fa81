"""The contract of attack:cw and attack:cw-l0."""

from __future__ import annotations

import pytest
from advplug_attack_cw._l2 import CarliniWagnerL2

from advplug.testing import conformance

test_l2 = conformance("attack:cw")
test_l0 = conformance("attack:cw-l0")


@pytest.fixture(autouse=True)
def fewer_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The contract does not depend on their number, and the defaults take minutes: `advplug check` has them."""
    monkeypatch.setitem(CarliniWagnerL2.__init__.__kwdefaults__, "steps", 100)
