"""The contract of attack:fmn."""

from advplug.testing import conformance

test_conformance = conformance("attack:fmn")
