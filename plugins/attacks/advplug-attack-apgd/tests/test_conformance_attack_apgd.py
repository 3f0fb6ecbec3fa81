"""The contract of attack:apgd."""

from advplug.testing import conformance

test_conformance = conformance("attack:apgd")
