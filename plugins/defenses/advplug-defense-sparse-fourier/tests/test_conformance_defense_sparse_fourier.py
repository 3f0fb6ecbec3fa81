"""The contract of defense:sparse-fourier."""

from advplug.testing import conformance

test_conformance = conformance("defense:sparse-fourier")
