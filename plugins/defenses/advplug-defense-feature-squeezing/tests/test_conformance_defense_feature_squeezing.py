"""The contract of defense:feature-squeezing."""

from advplug.testing import conformance

test_conformance = conformance("defense:feature-squeezing")
