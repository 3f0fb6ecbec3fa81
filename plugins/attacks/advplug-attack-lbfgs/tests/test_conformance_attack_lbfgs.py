"""The contract of attack:lbfgs."""

from advplug.testing import conformance

test_conformance = conformance("attack:lbfgs")
