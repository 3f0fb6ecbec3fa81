"""The contract of adaptive:weakness-strength."""

from advplug.testing import conformance

test_conformance = conformance("adaptive:weakness-strength")
