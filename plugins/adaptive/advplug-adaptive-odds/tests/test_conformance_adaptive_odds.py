"""The contract of adaptive:odds."""

from advplug.testing import conformance

test_conformance = conformance("adaptive:odds")
