"""The contract of adaptive:generative."""

from advplug.testing import conformance

test_conformance = conformance("adaptive:generative")
