"""The contract of data:mnist."""

from advplug.testing import conformance

test_conformance = conformance("data:mnist")
