"""The contract of defense:margin-maximization."""

from advplug.testing import conformance

test_conformance = conformance("defense:margin-maximization")
