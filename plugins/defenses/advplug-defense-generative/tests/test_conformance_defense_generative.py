"""The contract of defense:generative."""

from advplug.testing import conformance

test_conformance = conformance("defense:generative")
