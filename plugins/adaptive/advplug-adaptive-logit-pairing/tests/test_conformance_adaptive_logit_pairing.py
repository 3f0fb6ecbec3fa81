"""The contract of adaptive:logit-pairing."""

from advplug.testing import conformance

test_conformance = conformance("adaptive:logit-pairing")
