"""The contract of attack:pgd."""

from advplug.testing import conformance

test_conformance = conformance("attack:pgd")
