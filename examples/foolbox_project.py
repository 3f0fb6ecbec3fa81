"""advplug in a Foolbox project: an advplug attack and a Foolbox attack, both called as Foolbox attacks.

usage: python examples/foolbox_project.py
needs: pip install advplug-adaptive-kwta
"""

# --8<-- [start:project]
import foolbox
import torch
from foolbox.attacks import LinfPGD

from advplug import load

torch.manual_seed(0)  # Foolbox draws its random starts from the global generator

# The existing project: a network, images, labels, Foolbox.
network = load("defense:kwta")().build("mnist")  # any torch.nn.Module in evaluation mode
digits = load("data:mnist")().load("shipped", limit=20)
images, labels = digits.inputs, digits.labels
fmodel = foolbox.PyTorchModel(network, bounds=(0, 1))
epsilons = [0.1, 0.2]

_, _, success = LinfPGD()(fmodel, images, labels, epsilons=epsilons)
print("Foolbox LinfPGD        ", [f"{accuracy:.0%}" for accuracy in 1 - success.float().mean(1)])
# --8<-- [end:project]

# --8<-- [start:swap]
PGD = load("attack:pgd")

_, clipped, success = PGD(steps=40)(fmodel, images, labels, epsilons=epsilons)
print("advplug PGD            ", [f"{accuracy:.0%}" for accuracy in 1 - success.float().mean(1)])
# --8<-- [end:swap]

# --8<-- [start:components]
from advplug.gradients import FiniteDifference  # noqa: E402
from advplug.losses import Margin  # noqa: E402

estimate = FiniteDifference(sigma=0.2, queries=((0, 20), (20, 100), (40, 500)))  # more queries from steps 20 and 40 on
_, _, success = PGD(steps=80, step_size=0.07, random_start=False)(
    fmodel, images, labels, epsilons=0.2, loss=Margin(), gradient=estimate
)
print(f"  finite differences    {1 - success.float().mean():.0%} at 0.2")
# --8<-- [end:components]

# --8<-- [start:targeted]
from foolbox.criteria import TargetedMisclassification  # noqa: E402

goal = TargetedMisclassification((labels + 1) % 10)
_, _, success = PGD(steps=40)(fmodel, images, goal, epsilons=0.2, restarts=3)
print(f"next class as target    {success.float().mean():.0%} reached, 3 restarts")
# --8<-- [end:targeted]

# --8<-- [start:methods]
upper_half = torch.arange(28)[:, None] < 14  # broadcasts to the images
_, _, success = PGD(steps=40).repeat(3)(fmodel, images, labels.numpy(), epsilons=0.2, mask=upper_half)
print(f"upper half, 3 times     {1 - success.float().mean():.0%} at 0.2")

points = PGD(steps=40).run(fmodel, images, labels, epsilon=0.2)
print(f"Foolbox's run           {foolbox.accuracy(fmodel, points, labels):.0%} at 0.2, {PGD().distance}")
# --8<-- [end:methods]

# --8<-- [start:reverse]
from advplug import ThreatModel, run  # noqa: E402
from advplug.interop.foolbox import FoolboxAttack, as_foolbox_model, from_foolbox_model  # noqa: E402

result = run(
    FoolboxAttack("L2DeepFoolAttack"), from_foolbox_model(fmodel, num_classes=10), images, labels, ThreatModel("l2")
)
print(f"Foolbox DeepFool here   median l2 distance {result.distance.nanmedian():.2f}")
print(f"                        {result.forwards.float().mean():.0f} forward passes a digit")

defended = as_foolbox_model(network)  # the other direction: a defense of advplug as a Foolbox model
print(f"foolbox.accuracy        {foolbox.accuracy(defended, images, labels):.0%}")
# --8<-- [end:reverse]

# --8<-- [start:random]
from advplug.model import Decision, PlainModel  # noqa: E402


class Wary(PlainModel):
    """Classifies a noisy copy of the input; rejects the input if a second noisy copy gets another class."""

    stochastic = True

    def forward(self, x):
        return super().forward(x + 0.1 * torch.randn_like(x))

    def decide(self, x):
        answers = self(x).argmax(1)
        return Decision(answers, self(x).argmax(1) == answers)


wary = Wary(network, num_classes=10).eval()
_, clipped, success = LinfPGD()(as_foolbox_model(wary), images, labels, epsilons=0.2)
decisions = [wary.decide(clipped) for _ in range(10)]
fooled = torch.stack([(decision.labels != labels) & decision.accepted for decision in decisions])
print(f"random model            {success.float().mean():.0%} success, as Foolbox counts it")
print(f"                        {fooled.float().mean():.0%} wrong and accepted, over 10 decisions")
# --8<-- [end:random]
