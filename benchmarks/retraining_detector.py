"""Tables II and III of Ozbulak et al. (2020): which attacks a retrained detector tells from genuine images.

usage: python benchmarks/retraining_detector.py {mnist,cifar10} [--images 2000] [--test 500]
       python benchmarks/retraining_detector.py {mnist,cifar10} --shipped [--test 150]

Two detectors, a small one and a larger one, are trained on the images of one attack at a time, then of all four. They
are tested on other images, attacked alike. Published beside: the figures of ResNet-18 on ImageNet. With --shipped the
detector of the preset is tested instead, on images of its training and on others. Needs the training images:
ADVPLUG_DATA or a download. The tables are in docs/retraining-detector.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

import torch
from advplug_defense_adversarial_training import AdversarialTraining
from advplug_defense_retraining_detector import LOSSES, Detector, RetrainingDetector, attacked
from advplug_defense_retraining_detector._defense import LARGE, SMALL, TRAINING
from torch import Tensor

import advplug
from advplug.data import Images
from advplug.training import fit, seeded

SIZES = {"small": SMALL, "large": LARGE}
ONE = {"CE": "80/79 (79)", "CE-sign": "97/96 (96)", "Logit": "95/96 (95)", "M-logit": "90/91 (90)"}
ALL = {
    "CE": "83",
    "CE-sign": "97",
    "Logit": "95",
    "M-logit": "84",
    "all adversarial": "90",
    "genuine": "94",
    "overall": "92",
}


def detector(widths: Sequence[int], genuine: Tensor, adversarial: Tensor) -> Detector:
    """A detector trained on genuine and adversarial images (N, C, H, W)."""
    net = seeded(0, lambda: Detector(genuine.shape[1], genuine.shape[2], widths))
    labels = torch.cat((torch.zeros(len(genuine)), torch.ones(len(adversarial)))).long()
    fit(net, Images(torch.cat((genuine, adversarial)), labels, ("genuine", "adversarial"), "both"), TRAINING, seed=0)
    return net.eval()


def right(net: Detector, images: Tensor, answer: int) -> Tensor:
    """Whether ``images`` (N, C, H, W) are taken for ``answer``: 0 genuine, 1 adversarial; bool (N,)."""
    with torch.no_grad():
        return torch.cat([net(part).argmax(1) == answer for part in images.split(500)])


def percent(flags: Tensor) -> float:
    return 100 * float(flags.double().mean())


def table_of_one(train: Mapping[str, Tensor], test: Mapping[str, Tensor], clean: Images, unseen: Images) -> None:
    print("| attack | small | large | published, ResNet-18 |\n|---|---|---|---|")
    for name in LOSSES:
        cells = []
        for widths in SIZES.values():
            net = detector(widths, clean.inputs[: len(train[name])], train[name])
            genuine, found = right(net, unseen.inputs, 0), right(net, test[name], 1)
            overall = (percent(genuine) + percent(found)) / 2
            cells.append(f"{percent(genuine):.0f}/{percent(found):.0f} ({overall:.0f})")
        print(f"| {name} | {' | '.join(cells)} | {ONE[name]} |", flush=True)


def table_of_all(train: Mapping[str, Tensor], test: Mapping[str, Tensor], clean: Images, unseen: Images) -> None:
    columns = []
    for widths in SIZES.values():
        adversarial = torch.cat(list(train.values()))
        net = detector(widths, clean.inputs[: len(adversarial)], adversarial)
        found = {name: right(net, images, 1) for name, images in test.items()}
        found["all adversarial"] = torch.cat(list(found.values()))
        found["genuine"] = right(net, unseen.inputs, 0)
        shares = {name: percent(flags) for name, flags in found.items()}
        columns.append(shares | {"overall": (shares["all adversarial"] + shares["genuine"]) / 2})
    print("\n| images | small | large | published, ResNet-18 |\n|---|---|---|---|")
    for name, published in ALL.items():
        print(f"| {name} | {' | '.join(f'{column[name]:.0f}' for column in columns)} | {published} |")


def table_of_shipped(preset: str, splits: Mapping[str, Images]) -> None:
    """What the shipped detector rejects of images of each split, as they are and attacked with CE, in percent."""
    model = RetrainingDetector().build(preset)
    print("| images | genuine rejected | CE rejected |\n|---|---|---|")
    for split, images in splits.items():
        rejected = [~model.decide(x).accepted for x in (images.inputs, attacked(model.classifier, images, "CE"))]
        print(f"| {split} | {' | '.join(f'{percent(flags):.0f}' for flags in rejected)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=["mnist", "cifar10"])
    parser.add_argument("--images", type=int, default=2000, help="images that each attack is run on for training")
    parser.add_argument("--test", type=int, default=500, help="other images that the detectors are tested on")
    parser.add_argument("--shipped", action="store_true", help="test the detector of the preset")
    arguments = parser.parse_args()
    net, source = AdversarialTraining().build(arguments.data), advplug.load(f"data:{arguments.data}")()
    seen, unseen = ("train-disjoint", "shipped") if arguments.data == "mnist" else ("train", "test")
    if arguments.shipped:
        table_of_shipped(arguments.data, {name: source.load(name, limit=arguments.test) for name in (seen, unseen)})
        return
    clean = source.load(seen, limit=4 * arguments.images)
    test = source.load(unseen, limit=arguments.test)
    both = [{name: attacked(net, images, name) for name in LOSSES} for images in (clean[: arguments.images], test)]
    table_of_one(*both, clean, test)
    table_of_all(*both, clean, test)


if __name__ == "__main__":
    main()
