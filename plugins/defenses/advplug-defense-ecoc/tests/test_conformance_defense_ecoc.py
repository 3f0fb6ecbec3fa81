"""The contract of defense:ecoc."""

from advplug.testing import conformance

test_conformance = conformance("defense:ecoc")
