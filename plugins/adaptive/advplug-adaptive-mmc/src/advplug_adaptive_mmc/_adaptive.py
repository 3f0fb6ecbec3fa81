"""How Max-Mahalanobis centre networks are broken (Tramer et al. 2020, appendix F)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from advplug_attack_pgd import PGD
from advplug_attack_standard import Standard
from torch import Tensor

from advplug.adaptive import AdaptiveAttack, Recipe
from advplug.interop.art import ArtAttack
from advplug.interop.foolbox import FoolboxAttack
from advplug.losses import CentreDistance, TemperedCrossEntropy
from advplug.model import DefendedModel
from advplug.threat import ThreatModel

FOOLBOX, ART = "foolbox", "adversarial-robustness-toolbox"
BREAK = "Tramer et al. 2020, appendix F, CIFAR-10, ResNet, linf 0.031"
PGD_100 = PGD(steps=100)  # steps of 2.5 epsilon / 100 from a random start, as in that paper's other cases


class BreakMMC(AdaptiveAttack):
    """The answer is the nearest centre, so an attack asks for the distance to another centre, not for a softmax.

    Baselines: PGD on the cross-entropy of the logits, 10 steps of a quarter of the budget as the defense's authors ran
    it (2/256 of 8/256), in both libraries, then the 40 steps of a thirtieth that Foolbox has by default.
    """

    breaks = "mmc"
    claim = "Features drawn to fixed, far apart class centres are more robust than those that a softmax trains."
    lesson = "Do not attack the loss that training replaced: optimise the quantity that decides the answer."

    def baselines(self, preset: str, threat: ThreatModel) -> Sequence[Recipe]:
        step = threat.budget / 4
        authors = {
            FOOLBOX: FoolboxAttack("LinfPGD", {"steps": 10, "abs_stepsize": step}),
            ART: ArtAttack("ProjectedGradientDescent", {"max_iter": 10, "eps_step": step, "num_random_init": 1}),
        }
        return [
            *(
                Recipe(
                    name="PGD-10, authors' step",
                    attack=attack,
                    role="baseline",
                    library=library,
                    published=0.24,
                    source=BREAK,
                )
                for library, attack in authors.items()
            ),
            Recipe(name="PGD-40, default step", attack=FoolboxAttack("LinfPGD"), role="baseline", library=FOOLBOX),
        ]

    def recipes(self, preset: str, threat: ThreatModel, model: DefendedModel) -> Sequence[Recipe]:
        return [
            Recipe(name="standard", attack=Standard(), role="intermediate"),
            Recipe(name="PGD-100, cross-entropy", attack=PGD_100, role="intermediate"),
            Recipe(
                name="PGD-100, logits / 100",
                attack=PGD_100,
                loss=TemperedCrossEntropy(100),
                role="intermediate",
                published=0.18,
                source=BREAK,
            ),
            Recipe(
                name="distance to each centre",
                attack=PGD_100,
                loss=CentreDistance(cast(Tensor, model.centres)),
                targets="each",
                published=0.005,
                source=f"{BREAK}, an upper bound",
            ),
        ]
