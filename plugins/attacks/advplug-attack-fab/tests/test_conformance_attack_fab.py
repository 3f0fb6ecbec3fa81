"""The contract of attack:fab."""

from advplug.testing import conformance

test_conformance = conformance("attack:fab")
