"""The contract of attack:interpolation."""

from advplug.testing import conformance

test_conformance = conformance("attack:interpolation")
