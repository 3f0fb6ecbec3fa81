"""A standard suite that takes a moment."""

from __future__ import annotations

import pytest

from advplug.plugins.manager import load


@pytest.fixture(autouse=True)
def quick_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    """A standard suite of a few steps and queries."""
    defaults = load("attack:standard").__init__.__kwdefaults__
    for name, value in {"steps": 5, "queries": 20}.items():
        monkeypatch.setitem(defaults, name, value)
