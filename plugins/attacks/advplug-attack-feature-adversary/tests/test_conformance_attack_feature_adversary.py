"""The contract of attack:feature-adversary."""

from advplug.testing import conformance

test_conformance = conformance("attack:feature-adversary")
