"""The contract of defense:adversarial-training."""

from advplug.testing import conformance

test_conformance = conformance("defense:adversarial-training")
