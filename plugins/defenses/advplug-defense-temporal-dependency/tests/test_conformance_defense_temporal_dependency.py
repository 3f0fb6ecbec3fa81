"""The contract of defense:temporal-dependency."""

from advplug.testing import conformance

test_conformance = conformance("defense:temporal-dependency")
