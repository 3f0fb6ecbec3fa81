"""The contract of data:cifar10."""

from advplug.testing import conformance

test_conformance = conformance("data:cifar10")
