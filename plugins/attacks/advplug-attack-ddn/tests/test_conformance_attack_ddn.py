"""The contract of attack:ddn."""

from advplug.testing import conformance

test_conformance = conformance("attack:ddn")
