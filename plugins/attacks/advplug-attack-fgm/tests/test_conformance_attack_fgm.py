"""The contract of attack:fgm."""

from advplug.testing import conformance

test_conformance = conformance("attack:fgm")
