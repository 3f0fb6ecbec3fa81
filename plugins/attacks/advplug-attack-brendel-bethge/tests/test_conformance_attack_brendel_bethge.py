"""The contract of attack:brendel-bethge."""

from __future__ import annotations

import pytest
from advplug_attack_brendel_bethge import BrendelBethge

from advplug.testing import conformance

test_conformance = conformance("attack:brendel-bethge")


@pytest.fixture(autouse=True)
def fewer_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The contract does not depend on their number: `advplug check` has the defaults."""
    defaults = BrendelBethge.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "steps", 200)
