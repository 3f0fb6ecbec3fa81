"""The contract of adaptive:distillation."""

from advplug.testing import conformance

test_conformance = conformance("adaptive:distillation")
