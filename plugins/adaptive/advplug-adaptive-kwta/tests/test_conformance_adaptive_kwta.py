"""The contract of adaptive:kwta."""

from advplug.testing import conformance

test_conformance = conformance("adaptive:kwta")
