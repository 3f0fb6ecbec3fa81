"""Measure which share of confident examples passes the joint detector of feature squeezing, and draw the figure.

usage: python benchmarks/feature_squeezing.py [mnist|cifar10] [--images N] [--goals untargeted,next,least]

Prints the rows of tables 11 and 12 of Sharma 2018 beside what is measured here. C&W and EAD attack the network alone;
the detector then judges what they found. For digits, docs/feature-squeezing-confidence.png is drawn as well, unless
fewer than 50 are attacked.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from advplug_attack_cw import CarliniWagnerL2
from advplug_attack_ead import EAD
from advplug_defense_feature_squeezing import FeatureSqueezing, Squeezed
from matplotlib.figure import Figure
from torch import Tensor

from advplug import load, run
from advplug.data import Images
from advplug.report import ADAPTIVE, BASELINE, INTERMEDIATE, figure, quiet
from advplug.threat import ThreatModel

ROOT = Path(__file__).resolve().parent.parent
ATTACKS = {"C&W": CarliniWagnerL2, "EAD": EAD}
SEARCH = {"search_steps": 5, "steps": 200}
"""Less than the 9 searches of 1,000 steps of the papers."""

SETTINGS = {
    "untargeted": {**SEARCH, "initial_c": 0.1},
    "next": {**SEARCH, "initial_c": 10.0},
    "least": {**SEARCH, "initial_c": 10.0},
}
GOALS = tuple(SETTINGS)
PUBLISHED = {
    "mnist": {
        "C&W": {10: (0, 0, 0), 20: (15, 10, 24), 30: (64, 67, 91), 40: (87, 97, 100)},
        "EAD": {10: (24, 7, 7), 20: (80, 65, 78), 30: (95, 97, 93), 40: (97, 100, 100)},
    },
    "cifar10": {
        "C&W": {10: (32, 0, 0), 30: (78, 51, 6), 50: (96, 98, 94), 70: (100, 100, 100)},
        "EAD": {10: (46, 10, 0), 30: (78, 51, 23), 50: (94, 96, 90), 70: (100, 100, 100)},
    },
}
"""Tables 11 and 12: shares in percent that are misclassified and accepted, for each confidence and goal."""


@dataclass(frozen=True)
class Measured:
    """What one attack found: the share of right images that pass, mean L1 and L2 of what passes, median margins.

    A margin is by how much the wrong class is above the true one: ``margins`` those of the image and of each copy.
    """

    passed: float
    l1: float
    l2: float
    margins: Tensor


def targets_of(goal: str, model: FeatureSqueezing, images: Images) -> Tensor | None:
    """The class to reach, (N,), or None: the next one, or the least likely one of the clean image."""
    if goal == "next":
        return (images.labels + 1) % model.num_classes
    with torch.no_grad():
        return model(images.inputs).argmin(1) if goal == "least" else None


def measured(model: FeatureSqueezing, images: Images, attack: Any, goal: str) -> Measured:
    """Attack the network alone, judge by the detector."""
    targets = targets_of(goal, model, images)
    threat = ThreatModel("l2", targeted=targets is not None)
    found = run(attack, model.classifier, images.inputs, images.labels, threat, targets=targets, progress=False)
    x = cast(Tensor, found.adversarials)
    decision = model.decide(x)
    hit = found.success & decision.accepted  # where nothing was found stands the clean image
    delta = (x - images.inputs).flatten(1)[hit]
    with torch.no_grad():
        answers = torch.stack((model(x), *model.squeezed(x)))
    true = answers.gather(2, images.labels.expand(len(answers), -1)[..., None])
    others = answers.scatter(2, images.labels.expand(len(answers), -1)[..., None], -torch.inf)
    margins = (others.amax(2) - true.squeeze(2)).median(1).values
    passed = 100 * int(hit.sum()) / int(found.correct.sum())
    return Measured(passed, float(delta.abs().sum(1).mean()), float(delta.norm(dim=1).mean()), margins)


def confidence(found: dict[str, list[Measured]], kappas: list[int], published: dict[str, Any]) -> Figure:
    """Left: the margins of EAD's images and of their copies. Right: the shares that pass, and the published ones."""
    page = figure(2.8)
    left, right = page.subplots(1, 2)
    names = ("image", "1 bit", "median 2x2")
    for place, (name, colour) in enumerate(zip(names, (INTERMEDIATE, BASELINE, ADAPTIVE), strict=True)):
        left.plot(kappas, [float(one.margins[place]) for one in found["EAD"]], color=colour, marker="o", label=name)
    left.axhline(0, color="0.6", linewidth=0.8)
    left.legend(frameon=False, fontsize=8)
    quiet(left, x="confidence of EAD", y="median margin of the wrong class")
    for name, colour in (("C&W", BASELINE), ("EAD", ADAPTIVE)):
        right.plot(kappas, [one.passed for one in found[name]], color=colour, marker="o", label=f"{name}, here")
        there = [published[name][kappa][0] for kappa in kappas]
        right.plot(kappas, there, color=colour, linestyle="--", label=f"{name}, published")
    right.legend(frameon=False, fontsize=8)
    quiet(right, x="confidence", y="percent past the detector")
    return page


def main() -> None:
    options = argparse.ArgumentParser(usage=(__doc__ or "").split("usage: ")[1].split("\n")[0])
    options.add_argument("preset", nargs="?", choices=list(PUBLISHED), default="mnist")
    options.add_argument("--images", type=int, default=100)
    options.add_argument("--goals", default=",".join(GOALS))
    given = options.parse_args()
    preset, goals = given.preset, given.goals.split(",")
    model = cast(FeatureSqueezing, Squeezed().build(preset))
    images = load(f"data:{preset}")().load(Squeezed.presets[preset].test_split, given.images)
    published = PUBLISHED[preset]
    untargeted: dict[str, list[Measured]] = {}
    print(
        "| attack, confidence | " + " | ".join(f"{goal}, published | {goal}, here | L1 | L2" for goal in goals) + " |"
    )
    print("|---|" + "---|" * 4 * len(goals))
    for name, kind in ATTACKS.items():
        for kappa, shares in published[name].items():
            row = {goal: measured(model, images, kind(confidence=kappa, **SETTINGS[goal]), goal) for goal in goals}
            cells = [
                f"{shares[GOALS.index(goal)]} | **{one.passed:.0f}** | {one.l1:.1f} | {one.l2:.2f}"
                for goal, one in row.items()
            ]
            print(f"| {name}, {kappa} | {' | '.join(cells)} |".replace("nan", "-"), flush=True)
            if "untargeted" in row:
                untargeted.setdefault(name, []).append(row["untargeted"])
    if preset == "mnist" and untargeted and given.images >= 50:
        drawn = confidence(untargeted, list(published["EAD"]), published)
        drawn.savefig(ROOT / "docs" / "feature-squeezing-confidence.png", dpi=150)


if __name__ == "__main__":
    main()
