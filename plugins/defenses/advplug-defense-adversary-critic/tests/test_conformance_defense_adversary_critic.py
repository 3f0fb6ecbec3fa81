"""The contract of defense:adversary-critic."""

from advplug.testing import conformance

test_conformance = conformance("defense:adversary-critic")
