"""The contract of adaptive:input-transformations."""

from advplug.testing import conformance

test_conformance = conformance("adaptive:input-transformations")
