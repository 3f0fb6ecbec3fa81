"""The contract of defense:aat."""

from advplug.testing import conformance

test_conformance = conformance("defense:aat")
