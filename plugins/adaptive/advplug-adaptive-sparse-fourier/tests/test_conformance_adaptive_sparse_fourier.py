"""The contract of adaptive:sparse-fourier."""

from advplug.testing import conformance

test_conformance = conformance("adaptive:sparse-fourier")
