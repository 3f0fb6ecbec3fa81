"""The contract of attack:transfer."""

from advplug.testing import conformance

test_conformance = conformance("attack:transfer")
