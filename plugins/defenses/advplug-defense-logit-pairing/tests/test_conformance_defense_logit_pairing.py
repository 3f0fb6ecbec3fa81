"""The contract of defense:logit-pairing."""

from advplug.testing import conformance

test_conformance = conformance("defense:logit-pairing")
