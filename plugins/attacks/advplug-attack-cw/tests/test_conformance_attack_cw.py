"""The contract of attack:cw."""

from advplug.testing import conformance

test_conformance = conformance("attack:cw")
