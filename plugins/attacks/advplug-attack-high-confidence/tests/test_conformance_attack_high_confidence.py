"""The contract of attack:high-confidence."""

from advplug.testing import conformance

test_conformance = conformance("attack:high-confidence")
