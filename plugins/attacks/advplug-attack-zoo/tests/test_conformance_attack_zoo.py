"""The contract of attack:zoo."""

from __future__ import annotations

import pytest
from advplug_attack_zoo._zoo import ZOO

from advplug.testing import conformance

test_zoo = conformance("attack:zoo")


@pytest.fixture(autouse=True)
def fewer_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The contract does not depend on their number, and the defaults take minutes: `advplug check` has them."""
    for name, value in {"steps": 60, "search_steps": 3, "initial_c": 10.0, "step_size": 0.05}.items():
        monkeypatch.setitem(ZOO.__init__.__kwdefaults__, name, value)
