"""The contract on two attacks of ART: in one step under three norms, minimum-norm."""

from advplug.testing import conformance

test_conformance_fgm = conformance("attack:art:FastGradientMethod")
test_conformance_deepfool = conformance("attack:art:DeepFool", quick=True)
