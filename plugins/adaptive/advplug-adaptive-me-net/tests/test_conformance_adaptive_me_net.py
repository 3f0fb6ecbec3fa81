"""The contract of adaptive:me-net."""

from advplug.testing import conformance

test_conformance = conformance("adaptive:me-net")
