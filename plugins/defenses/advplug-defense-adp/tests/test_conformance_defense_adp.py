"""The contract of defense:adp."""

from advplug.testing import conformance

test_conformance = conformance("defense:adp")
