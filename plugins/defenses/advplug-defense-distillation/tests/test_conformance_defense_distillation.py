"""The contract of defense:distillation."""

from advplug.testing import conformance

test_conformance = conformance("defense:distillation")
