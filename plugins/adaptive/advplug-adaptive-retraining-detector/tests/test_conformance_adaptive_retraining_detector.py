"""The contract of adaptive:retraining-detector."""

from advplug.testing import conformance

test_conformance = conformance("adaptive:retraining-detector")
