"""The contract of defense:odds."""

from advplug.testing import conformance

test_conformance = conformance("defense:odds")
