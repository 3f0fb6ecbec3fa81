"""The contract of defense:retraining-detector."""

from advplug.testing import conformance

test_conformance = conformance("defense:retraining-detector")
