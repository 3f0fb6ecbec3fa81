"""The contract of attack:fgm and attack:fgm-steps."""

from advplug.testing import conformance

test_conformance = conformance("attack:fgm")
test_steps = conformance("attack:fgm-steps")
