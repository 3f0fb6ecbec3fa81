"""The contract of defense:kwta."""

from advplug.testing import conformance

test_conformance = conformance("defense:kwta")
