"""Brendel & Bethge here and in Foolbox: distances from the same starting points, at equal steps, and time.

usage: python benchmarks/brendel_bethge.py PRESET [IMAGES] [STEPS] [NORM ...]

PRESET is one of defense:adversarial-training. Prints a row of a Markdown table for each norm. Both libraries run in
this process, in turn, on one thread, with the whole batch at once. Foolbox multiplies its radius by the number of
images; the attack here is given the radius that results. The time leaves out that Foolbox's first call compiles. Needs
Foolbox and numba.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import foolbox
import torch
from torch import Tensor

from advplug import ThreatModel, load, run
from advplug.numerics import norms

KINDS = {
    "linf": foolbox.attacks.LinfinityBrendelBethgeAttack,
    "l2": foolbox.attacks.L2BrendelBethgeAttack,
    "l1": foolbox.attacks.L1BrendelBethgeAttack,
    "l0": foolbox.attacks.L0BrendelBethgeAttack,
}
RADIUS = 1e-3
"""Foolbox's, for one image."""


def main(preset: str, images: int = 10, steps: int = 100, *chosen: str) -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    defense = load("defense:adversarial-training")()
    net, described = defense.build(preset), defense.preset(preset)
    data = load(f"data:{described.data}")().load(described.test_split, limit=2 * images)
    right = (net(data.inputs).argmax(1) == data.labels).nonzero().squeeze(1)[:images]
    x, y = data.inputs[right], data.labels[right]
    model, criterion = foolbox.PyTorchModel(net, bounds=(0, 1)), foolbox.criteria.Misclassification(y)
    torch.manual_seed(0)
    start = foolbox.attacks.LinearSearchBlendedUniformNoiseAttack(steps=50).run(model, x, criterion)
    found = net(start).argmax(1) != y
    x, y, start = x[found], y[found], start[found]
    criterion = foolbox.criteria.Misclassification(y)
    print(f"{preset}: {len(x)} images, {steps} steps")
    for norm in chosen or tuple(KINDS):
        attack = load("attack:brendel-bethge")(steps=steps, radius=RADIUS * len(x))
        threat = ThreatModel(norm)  # type: ignore[arg-type]
        KINDS[norm](steps=2).run(model, x, criterion, starting_points=start)  # compiles
        theirs, their_time = timed(
            lambda kind=KINDS[norm]: kind(steps=steps).run(model, x, criterion, starting_points=start)
        )
        ours, our_time = timed(
            lambda attack=attack, threat=threat: run(attack, net, x, y, threat, starting_points=start).adversarials
        )
        medians = [f"{norms(adversarial - x, norm).median():.4g}" for adversarial in (ours, theirs)]
        broken = [f"{int((net(adversarial).argmax(1) != y).sum())}" for adversarial in (ours, theirs)]
        print("|", " | ".join((norm, *medians, *broken, f"{their_time / our_time:.2f}")), "|", flush=True)


def timed(attack: Callable[[], Tensor]) -> tuple[Tensor, float]:
    """The adversarial images, and processor seconds: other programs may share the machine."""
    begin = time.process_time()
    return attack(), time.process_time() - begin


if __name__ == "__main__":
    main(*(int(word) if word.isdigit() else word for word in sys.argv[1:]))  # type: ignore[arg-type]
