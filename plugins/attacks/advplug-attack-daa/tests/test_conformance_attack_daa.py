"""The contract of attack:daa."""

from __future__ import annotations

from advplug.testing import conformance

test_conformance = conformance("attack:daa")
