"""The contract of attack:ead."""

from advplug.testing import conformance

test_conformance = conformance("attack:ead")
