"""The contract of adaptive:adp."""

from advplug.testing import conformance

test_conformance = conformance("adaptive:adp")
