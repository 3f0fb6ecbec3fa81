"""The contract of adaptive:mmc."""

from advplug.testing import conformance

test_conformance = conformance("adaptive:mmc")
