"""The contract of defense:mixup-inference."""

from advplug.testing import conformance

test_conformance = conformance("defense:mixup-inference")
