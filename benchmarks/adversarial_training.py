"""What adversarial training and its relatives are worth on digits. Tables in docs/adversarial-training.md.

usage: python benchmarks/adversarial_training.py ways [--limit 500]
       python benchmarks/adversarial_training.py retraining [--images 200]
       python benchmarks/adversarial_training.py budgets [--images 5000] [--only 0.3,0.4]

``ways`` attacks the shipped presets of the defense; the other two train networks on digits that MNIST's training set
has and the shipped digits do not: ADVPLUG_DATA or a download. ``retraining`` is Table 7 of Sharma's thesis, ``budgets``
its Table 9.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence

import torch
from advplug_attack_cw import CarliniWagnerL2
from advplug_attack_ddn import DDN
from advplug_attack_deepfool import DeepFool
from advplug_attack_ead import EAD
from advplug_defense_adversarial_training import AdversarialTraining
from torch import nn

import advplug
from advplug.attack import Attack
from advplug.data import Images
from advplug.metrics import over_targets, relative_distance
from advplug.training import Adversary, TrainingConfig, attacked_images, fit

WAYS = (
    "mnist",
    "mnist-fgsm",
    "mnist-fgsm-answers",
    "mnist-ensemble",
    "mnist-vat",
    "mnist-joint",
    "mnist-l2",
    "mnist-trades",
    "mnist-linf",
)


def digits(split: str, limit: int) -> Images:
    found: Images = advplug.load("data:mnist")().load(split, limit=limit)
    return found


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows as they come."""
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


def trained(images: Images, config: TrainingConfig) -> nn.Module:
    torch.manual_seed(0)
    net = AdversarialTraining().network("mnist")
    fit(net, images, config, seed=0)
    return net


def ways(limit: int, epsilon: float) -> Iterator[Sequence[str]]:
    """Errors in percent within Linf ``epsilon``; and how far the nearest error is, as a share of the image's length."""
    shown = digits("shipped", limit)
    for preset in WAYS:
        net = AdversarialTraining().build(preset)
        found = advplug.evaluate(
            net,
            (shown.inputs, shown.labels),
            f"linf:{epsilon}",
            attacks=["fgm", ("pgd", {"steps": 40}), "standard"],
            progress=False,
        )
        left = {row.name.partition(":")[0]: row.robust_accuracy for row in found.rows}
        rhos = [
            relative_distance(advplug.run(attack, net, shown.inputs, shown.labels, "l2:min"), shown.inputs).value
            for attack in (DeepFool(), DDN(steps=100))
        ]
        errors = [1 - found.clean_accuracy, *(1 - left[name] for name in ("fgm", "pgd", "standard"))]
        yield [f"`{preset}`", *(f"{100 * error:.1f}" for error in errors), *(f"{rho:.3f}" for rho in rhos)]


def retraining(images: int, training: int, tested: int) -> Iterator[Sequence[str]]:
    """Average-case success and lengths of C&W and EAD on networks that saw their adversarial images in training."""
    config = TrainingConfig(epochs=8, learning_rate=0.05)
    train, test = digits("train-disjoint", training), digits("shipped", tested)
    plain = trained(train, config)
    attacks: dict[str, tuple[Attack, str]] = {
        "C&W": (CarliniWagnerL2(search_steps=5, steps=200), "l2:min"),
        "EAD": (EAD(search_steps=5, steps=200), "l1:min"),
    }
    found = {
        name: attacked_images(plain, train[:images], [attack], threat, every_target=True)[images:]
        for name, (attack, threat) in attacks.items()
    }
    nets = {"none": plain}
    for names in (("EAD",), ("C&W",), ("EAD", "C&W")):
        inputs = torch.cat((train.inputs, *(found[name].inputs for name in names)))
        labels = torch.cat((train.labels, *(found[name].labels for name in names)))
        nets[" and ".join(names)] = trained(Images(inputs, labels, train.class_names, "retraining"), config)
    for name, (attack, threat) in attacks.items():
        for seen, net in nets.items():
            case = over_targets(attack, net, test.inputs, test.labels, threat).average
            lengths = (f"{case.lengths[norm]:.4g}" for norm in ("l1", "l2", "linf"))
            yield [name, seen, f"{100 * case.success_rate:.1f}", *lengths]


def budgets(images: int, epsilons: Sequence[float], tested: int) -> Iterator[Sequence[str]]:
    """Accuracy in percent, clean and under the attack of the training, after training at each budget."""
    train, test = digits("train-disjoint", images), digits("shipped", tested)
    for epsilon in epsilons:
        adversary = Adversary(epsilon=epsilon, step_size=2 * epsilon / 40, steps=40)
        net = trained(
            train,
            TrainingConfig(
                epochs=8, learning_rate=1e-3, batch_size=50, optimiser="adam", drop_at=8, adversary=adversary
            ),
        )
        found = advplug.evaluate(
            net,
            (test.inputs, test.labels),
            f"linf:{epsilon}",
            attacks=[("pgd", {"steps": 40})],
            progress=False,
        )
        with torch.no_grad():
            classes = len(net(test.inputs).argmax(1).unique())
        yield [
            f"{epsilon:.1f}",
            f"{100 * found.clean_accuracy:.1f}",
            f"{100 * found.robust_accuracy:.1f}",
            f"{classes}",
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=["ways", "retraining", "budgets"])
    parser.add_argument("--limit", type=int, default=None, help="digits that are attacked")
    parser.add_argument("--images", type=int, default=None, help="digits that are attacked for, or seen in, training")
    parser.add_argument("--only", default="0.1,0.2,0.3,0.4,0.6,0.8,1.0", help="budgets of training")
    arguments = parser.parse_args()
    if arguments.table == "ways":
        head = ["preset", "clean", "FGSM", "PGD-40", "standard", "rho, DeepFool", "rho, DDN"]
        table(head, ways(arguments.limit or 500, 0.2))
    elif arguments.table == "retraining":
        head = ["attack", "adversarial images in training", "success, %", "L1", "L2", "Linf"]
        table(head, retraining(arguments.images or 200, 10_000, arguments.limit or 30))
    else:
        epsilons = [float(text) for text in arguments.only.split(",")]
        head = ["budget", "clean", "PGD-40", "classes answered"]
        table(head, budgets(arguments.images or 5000, epsilons, arguments.limit or 500))


if __name__ == "__main__":
    main()
