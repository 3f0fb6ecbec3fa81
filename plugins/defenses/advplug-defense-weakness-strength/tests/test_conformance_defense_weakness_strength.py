"""The contract of defense:weakness-strength."""

from advplug.testing import conformance

test_conformance = conformance("defense:weakness-strength")
