"""The contract of data:spoken-digits."""

from advplug.testing import conformance

test_conformance = conformance("data:spoken-digits")
