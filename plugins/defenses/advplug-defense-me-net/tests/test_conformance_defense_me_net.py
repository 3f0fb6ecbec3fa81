"""The contract of defense:me-net."""

from advplug.testing import conformance

test_conformance = conformance("defense:me-net")
