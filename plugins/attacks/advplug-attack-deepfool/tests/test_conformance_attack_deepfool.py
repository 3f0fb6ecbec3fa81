"""The contract of attack:deepfool."""

from advplug.testing import conformance

test_conformance = conformance("attack:deepfool")
