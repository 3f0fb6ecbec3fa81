"""The contract on three attacks of Foolbox: in steps, minimum-norm, in one step."""

from advplug.testing import conformance

BATCH = "Foolbox draws its random start for whole batches"

test_conformance_pgd = conformance("attack:foolbox:LinfPGD", expected_failures={"does_not_depend_on_the_batch": BATCH})
test_conformance_deepfool = conformance("attack:foolbox:L2DeepFoolAttack", quick=True)
test_conformance_fgsm = conformance("attack:foolbox:FGSM")
