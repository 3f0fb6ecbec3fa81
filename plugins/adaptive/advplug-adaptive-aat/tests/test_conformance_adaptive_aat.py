"""The contract of adaptive:aat."""

from advplug.testing import conformance

test_conformance = conformance("adaptive:aat")
