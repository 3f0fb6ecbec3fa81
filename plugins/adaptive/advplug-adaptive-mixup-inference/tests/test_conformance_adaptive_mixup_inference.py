"""The contract of adaptive:mixup-inference."""

from advplug.testing import conformance

test_conformance = conformance("adaptive:mixup-inference")
