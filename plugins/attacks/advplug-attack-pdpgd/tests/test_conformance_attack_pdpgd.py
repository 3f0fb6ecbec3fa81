"""The contract of attack:pdpgd."""

from advplug.testing import conformance

test_conformance = conformance("attack:pdpgd")
