"""The contract of adaptive:empir."""

from advplug.testing import conformance

test_conformance = conformance("adaptive:empir")
