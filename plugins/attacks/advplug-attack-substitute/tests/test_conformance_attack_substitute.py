"""The contract of attack:substitute."""

from advplug.testing import conformance

test_conformance = conformance("attack:substitute")
