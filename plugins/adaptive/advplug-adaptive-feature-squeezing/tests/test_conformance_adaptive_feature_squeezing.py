"""The contract of adaptive:feature-squeezing."""

from advplug.testing import conformance

test_conformance = conformance("adaptive:feature-squeezing")
