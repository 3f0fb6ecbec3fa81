"""The contract of defense:empir."""

from advplug.testing import conformance

test_conformance = conformance("defense:empir")
