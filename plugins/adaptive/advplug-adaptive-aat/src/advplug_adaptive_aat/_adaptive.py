"""How asymmetrical adversarial training is attacked (Tramer et al. 2020, appendix M)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import eagerpy as ep
from advplug_attack_pgd import PGD
from advplug_attack_standard import Standard
from advplug_defense_aat import Integrated

from advplug.adaptive import AdaptiveAttack, Recipe
from advplug.gradients import Exact, Selective
from advplug.interop.art import ArtAttack
from advplug.interop.foolbox import FoolboxAttack
from advplug.losses import ActivationLoss, Margin, View
from advplug.model import DefendedModel
from advplug.numerics import best_other
from advplug.threat import ThreatModel

FOOLBOX, ART = "foolbox", "adversarial-robustness-toolbox"
STEPS = 20
"""The authors take steps of a quarter of the budget."""

CLAIM = "Yin et al. 2020 as reproduced by Tramer et al. 2020, CIFAR-10, linf 8/255, 5 % false positives"
BREAK = "Tramer et al. 2020, appendix M, CIFAR-10, linf 8/255, 5 % false positives"
GENERATIVE = "-generative"


def other_detectors(scores: ep.Tensor, view: View) -> ep.Tensor:
    """The negative of the largest score (n,) of a detector of another class, from ``scores`` (n, K) of all."""
    return -best_other(scores, view.labels)


OTHERS = ActivationLoss("features", other_detectors)


def search(budget: float) -> PGD:
    """The search of the break, also with the loss of the authors.

    The scores of small detectors trained under a wide budget are rough: short steps from a random point get stuck.
    """
    return PGD(steps=50, step_size=budget / 4, schedule="cosine", momentum=0.75, random_start=False)


class BreakAAT(AdaptiveAttack):
    """The detector that decides is that of the answer: name the class first, then raise that one score alone.

    Baselines: PGD with the authors' 20 steps of a quarter of the budget and no random start. In both libraries it
    knows of no detector; with the authors' loss it makes the classifier err first, and then raises the largest score
    of all detectors but that of the true class.
    """

    breaks = "aat"
    claim = "Detectors of one class each keep 30 % (integrated) and 55 % (generative), losing 5 % clean accuracy."
    lesson = "Aim at one class at a time, and raise only the detector that decides about it."

    def baselines(self, preset: str, threat: ThreatModel) -> Sequence[Recipe]:
        step = threat.budget / 4
        blind = {
            FOOLBOX: FoolboxAttack("LinfPGD", {"steps": STEPS, "abs_stepsize": step, "random_start": False}),
            ART: ArtAttack("ProjectedGradientDescent", {"max_iter": STEPS, "eps_step": step, "num_random_init": 0}),
        }
        authors = PGD(steps=STEPS, step_size=step, random_start=False, judge="last")
        return [
            *(
                Recipe(name=f"PGD-{STEPS}, authors' step", attack=attack, role="baseline", library=library)
                for library, attack in blind.items()
            ),
            replace(_authors_loss(preset), name=f"PGD-{STEPS}, authors' loss", attack=authors, role="baseline"),
        ]

    def recipes(self, preset: str, threat: ThreatModel, model: DefendedModel) -> Sequence[Recipe]:
        answer = Recipe(
            name="PGD-50, detector of the answer",
            attack=search(threat.budget),
            loss=Margin(),
            gradient=Selective(),
            role="intermediate",
        )
        found = [
            Recipe(name="standard", attack=Standard(), role="intermediate"),
            replace(_authors_loss(preset), name="PGD-50, authors' loss", attack=search(threat.budget), published=None),
            answer,
            replace(
                answer,
                name="PGD-50, each class in turn",
                targets="each",
                role="adaptive",
                published=0.37 if GENERATIVE in preset else 0.11,
                source=BREAK,
            ),
        ]
        if isinstance(model, Integrated):  # nothing is left of the generative classifier without the detectors
            alone = replace(answer, gradient=Exact(), role="control", on=model.classifier)
            found.insert(0, replace(alone, name="PGD-50 on the classifier alone"))
        return found


def _authors_loss(preset: str) -> Recipe:
    """Their loss, for an attack to be named."""
    generative = GENERATIVE in preset
    return Recipe(
        name="authors' loss",
        attack=PGD(),
        loss=OTHERS if generative else Margin(),
        gradient=Exact() if generative else Selective(OTHERS),
        role="intermediate",
        published=0.55 if generative else 0.30,
        source=CLAIM,
    )
