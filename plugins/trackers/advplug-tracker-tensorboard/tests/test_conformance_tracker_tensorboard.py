"""The contract of tracker:tensorboard."""

from advplug.testing import conformance

test_conformance = conformance("tracker:tensorboard")
