"""The contract of defense:input-transformations."""

from advplug.testing import conformance

test_conformance = conformance("defense:input-transformations")
