"""The contract of adaptive:temporal-dependency."""

from advplug.testing import conformance

test_conformance = conformance("adaptive:temporal-dependency")
