"""The contract of adaptive:ecoc."""

from advplug.testing import conformance

test_conformance = conformance("adaptive:ecoc")
