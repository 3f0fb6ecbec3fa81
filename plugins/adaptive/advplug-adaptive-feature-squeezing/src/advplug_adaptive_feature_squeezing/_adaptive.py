"""How the joint detector of feature squeezing is passed (Sharma 2018, section 4.3.7.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from advplug_attack_cw import CarliniWagnerL2
from advplug_attack_ddn import DDN
from advplug_attack_ead import EAD
from advplug_attack_pgd import PGD
from advplug_attack_standard import Standard
from advplug_attack_transfer import Transfer
from advplug_defense_feature_squeezing import FeatureSqueezing

from advplug.adaptive import AdaptiveAttack, Recipe
from advplug.attack import Attack
from advplug.errors import InvalidInput
from advplug.interop.art import ArtAttack
from advplug.interop.foolbox import FoolboxAttack
from advplug.losses import DetectorScore, Joint, Margin
from advplug.model import DefendedModel
from advplug.threat import ThreatModel
from advplug_adaptive_feature_squeezing._loss import SqueezedMargin

FOOLBOX, ART = "foolbox", "adversarial-robustness-toolbox"
CLAIM = "Xu et al. 2018, detection rate over eleven attacks"
DESCENTS, STEPS = 5, 200
"""Of the searches for a constant; the papers have 9 of 1,000."""


@dataclass(frozen=True)
class Published:
    """What the sources say of one data set.

    ``detected`` is the claim, ``confidence`` that of the authors' C&W, ``step`` of their iterative attack a share of
    its budget. ``passed`` are the shares that C&W and EAD bring past the detector at each confidence, untargeted.
    """

    detected: float
    confidence: float
    step: float
    passed: Mapping[float, tuple[float, float]]
    table: str


PUBLISHED = {
    "mnist": Published(
        0.982, 10.0, 0.06 / 0.3, {10: (0.0, 0.24), 20: (0.15, 0.80), 30: (0.64, 0.95), 40: (0.87, 0.97)}, "11, MNIST"
    ),
    "cifar10": Published(
        0.845,
        5.0,
        0.0012 / 0.008,
        {10: (0.32, 0.46), 30: (0.78, 0.78), 50: (0.96, 0.94), 70: (1.0, 1.0)},
        "12, CIFAR-10",
    ),
}


class BreakFeatureSqueezing(AdaptiveAttack):
    """Squeezing undoes changes that barely cross the boundary; those that cross it far stay.

    Baselines: the authors' own attacks on the network alone, at their settings or the defaults of the libraries. A
    higher confidence, which knows nothing of the detector, passes it. The attack that knows it needs less: the image
    and all its squeezed copies shall have one wrong class.
    """

    breaks = "feature-squeezing"
    claim = "Answers to squeezed copies of an adversarial image differ: 98.2 % of digits, 84.5 % of CIFAR-10 detected."
    lesson = (
        "A detector that was tested on weak adversarial images detects weakness: attack with more confidence first."
    )

    def baselines(self, preset: str, threat: ThreatModel) -> Sequence[Recipe]:
        known = _published(preset)
        return [
            Recipe(
                name=name,
                attack=attack,
                role="baseline",
                library=library,
                published=known.detected,
                source=CLAIM,
            )
            for name, library, attack in (_smallest(known) if threat.epsilon is None else _within(known, threat))
        ]

    def recipes(self, preset: str, threat: ThreatModel, model: DefendedModel) -> Sequence[Recipe]:
        if not isinstance(model, FeatureSqueezing):
            raise InvalidInput(f"the model is a {type(model).__name__}: this case attacks FeatureSqueezing")
        if threat.epsilon is not None:
            return _recipes_within(preset, threat, model)
        alone = Recipe(name="DDN-200 on the network alone", attack=DDN(steps=200), role="control", on=model.classifier)
        adaptive = Recipe(
            name="DDN-200, margin of all copies",
            attack=DDN(steps=200),
            loss=SqueezedMargin(squeezers=len(model.copies)),
        )
        return [alone, *_sweep(preset), adaptive]


def _published(preset: str) -> Published:
    return PUBLISHED["cifar10" if preset.startswith("cifar10") else "mnist"]


def _smallest(known: Published) -> list[tuple[str, str, Attack]]:
    kappa = known.confidence
    attack = FoolboxAttack("L2CarliniWagnerAttack", {"confidence": kappa, "steps": 1000})
    return [(f"C&W, confidence {kappa:g}", FOOLBOX, attack)]


def _within(known: Published, threat: ThreatModel) -> list[tuple[str, str, Attack]]:
    step = known.step * threat.budget
    return [
        ("FGSM", FOOLBOX, FoolboxAttack("FGSM", {"random_start": False})),
        ("FGSM", ART, ArtAttack("FastGradientMethod", {})),
        ("BIM, authors' step", FOOLBOX, FoolboxAttack("LinfBasicIterativeAttack", {"abs_stepsize": step})),
        ("BIM, authors' step", ART, ArtAttack("BasicIterativeMethod", {"eps_step": step})),
    ]


def _sweep(preset: str) -> list[Recipe]:
    """C&W and EAD on the network alone, at ever higher confidence."""
    known, network = _published(preset), f"adversarial-training:{preset.partition('-')[0]}"
    found = []
    for place, (name, attack) in enumerate((("C&W", CarliniWagnerL2), ("EAD", EAD))):
        for kappa, passed in known.passed.items():
            static = attack(confidence=kappa, search_steps=DESCENTS, steps=STEPS, initial_c=0.1)
            found.append(
                Recipe(
                    name=f"{name} on the network alone, confidence {kappa:g}",
                    attack=Transfer(attack=static, models=network),
                    role="intermediate",
                    published=round(1 - passed[place], 2),
                    source=f"Sharma 2018, table {known.table}, 100 images, untargeted",
                )
            )
    return found


def _recipes_within(preset: str, threat: ThreatModel, model: FeatureSqueezing) -> list[Recipe]:
    steps = 40 if preset.startswith("cifar10") else 100  # non-local means are slow
    pgd = PGD(steps=steps, step_size=threat.budget / 10, judge="last")
    margin, joint = Margin(), Joint(((1.0, Margin(4.0)), (1.0, DetectorScore(0.0))))
    copies = SqueezedMargin(squeezers=len(model.copies))
    return [
        Recipe(name=f"PGD-{steps} on the network alone", attack=pgd, loss=margin, role="control", on=model.classifier),
        Recipe(name="standard", attack=Standard(), role="intermediate"),
        Recipe(name=f"PGD-{steps}, margin", attack=pgd, loss=margin, role="intermediate"),
        Recipe(name=f"PGD-{steps}, margin and detector", attack=pgd, loss=joint, role="intermediate"),
        Recipe(name=f"PGD-{steps}, margin of all copies", attack=pgd, loss=copies),
    ]
