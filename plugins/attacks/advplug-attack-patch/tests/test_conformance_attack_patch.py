"""The contract of attack:patch."""

from __future__ import annotations

from advplug.testing import conformance

test_conformance = conformance("attack:patch")
