"""Train a small network on digits in several ways, and evaluate each.

usage: python examples/training.py
needs: pip install advplug-attack-ddn advplug-attack-pgd advplug-data-mnist
"""

# --8<-- [start:fit]
import torch
from advplug_attack_pgd import PGD

import advplug
from advplug.training import AttackAdversary, TrainingConfig, fit

digits = advplug.load("data:mnist")().load("shipped", limit=3000)
held_out, train = digits[:100], digits[100:]


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))


def report(name: str, net: torch.nn.Module) -> None:
    found = advplug.evaluate(net, (held_out.inputs, held_out.labels), "linf:0.1", attacks=["pgd"], progress=False)
    print(f"{name}: clean {found.clean_accuracy:.0%}, under PGD {found.robust_accuracy:.0%}")


plain = network()
fit(plain, train, TrainingConfig(epochs=5, learning_rate=0.1))
report("plain", plain)

inner = AttackAdversary(attack=PGD(steps=3), threat="linf:0.1")
robust = network()
fit(robust, train, TrainingConfig(epochs=5, learning_rate=0.1, adversary=inner))
report("against PGD", robust)
# --8<-- [end:fit]

# --8<-- [start:loop]
from advplug.training import Adversary  # noqa: E402

adversary = Adversary(epsilon=0.1, step_size=0.05, steps=3)  # PGD in the loop, without the engine
net = network().train()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
for _ in range(3):
    for x, y in train.batches(64):
        loss = torch.nn.functional.cross_entropy(net(adversary(net, x, y)), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
report("own loop", net.eval())
# --8<-- [end:loop]

# --8<-- [start:objectives]
from advplug.training import TRADES, VAT, FromModels, Mixed  # noqa: E402

fgsm = Adversary(epsilon=0.1, step_size=0.1, steps=1, start="input", against="answers")
near = Adversary(epsilon=0.1, step_size=0.05, steps=3, start="near", against="probabilities")
ways = {
    "half FGSM": TrainingConfig(epochs=5, learning_rate=0.1, adversary=fgsm, loss=Mixed()),
    "TRADES": TrainingConfig(epochs=5, learning_rate=0.1, adversary=near, loss=TRADES(beta=6)),
    "VAT": TrainingConfig(epochs=5, learning_rate=0.1, loss=VAT(epsilon=1.0)),
    "ensemble": TrainingConfig(epochs=5, learning_rate=0.1, adversary=FromModels(fgsm, [plain]), loss=Mixed()),
}
for name, config in ways.items():
    net = network()
    fit(net, train, config)
    report(name, net)
# --8<-- [end:objectives]

# --8<-- [start:through]
from advplug_attack_ddn import DDN  # noqa: E402

from advplug.training import MMA  # noqa: E402

wide = network()
fit(wide, train, TrainingConfig(epochs=5, learning_rate=0.1, loss=MMA(attack=DDN(steps=10), largest=3.0, weight=10)))
report("through DDN", wide)
for name, net in (("plain", plain), ("through DDN", wide)):
    found = advplug.run(DDN(), net, held_out.inputs, held_out.labels, "l2:min")
    print(f"{name}: median distance {found.distance.nanmedian():.2f}")
# --8<-- [end:through]

# --8<-- [start:distillation]
from advplug.training import Tempered  # noqa: E402

warm = Tempered(temperature=5)
config = TrainingConfig(epochs=5, learning_rate=0.01, optimiser="adam", loss=warm)
teacher, student = network(), network()
fit(teacher, train, config)
report("teacher", teacher)
fit(student, train, config, soft_labels=warm.answers(teacher, train))
report("student", student)
# --8<-- [end:distillation]

# --8<-- [start:offline]
from advplug.training import attacked_images  # noqa: E402

more = attacked_images(plain, train[:500], [PGD()], "linf:0.1")
again = network()
fit(again, (torch.cat((train.inputs, more.inputs)), torch.cat((train.labels, more.labels))), ways["VAT"])
print(f"{len(more) - 500} adversarial digits joined the training set")
# --8<-- [end:offline]
