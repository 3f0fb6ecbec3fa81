"""The contract of defense:mmc."""

from advplug.testing import conformance

test_conformance = conformance("defense:mmc")
