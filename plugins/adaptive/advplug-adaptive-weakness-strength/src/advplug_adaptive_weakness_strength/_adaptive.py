"""How the tests of Yu et al. are passed (Tramer et al. 2020, appendix N)."""

from __future__ import annotations

from collections.abc import Sequence

from advplug_attack_interpolation import Interpolation
from advplug_attack_pgd import PGD
from advplug_attack_standard import Standard

from advplug.adaptive import AdaptiveAttack, Recipe
from advplug.criteria import Accepted, Misclassified
from advplug.interop.art import ArtAttack
from advplug.interop.foolbox import FoolboxAttack
from advplug.losses import Margin
from advplug.model import DefendedModel
from advplug.threat import ThreatModel

FOOLBOX, ART = "foolbox", "adversarial-robustness-toolbox"
SOURCE = "Tramer et al. 2020, appendix N, CIFAR-10, VGG-19, linf 0.1"

NOISE_TEST = 0
"""Index of the score that objects to points near the boundary; the others count steps, and object to far ones."""

UNFLAGGED = Misclassified() & Accepted()


class BreakWeaknessStrength(AdaptiveAttack):
    """A point that is too near the boundary fails the test with noise, one too far beyond it those with steps.

    Somewhere between lie points as confident as clean images, which both must accept. Baselines: PGD on cross-entropy
    as the libraries have it by default. The authors' own white-box attack, four losses with hardly any weights through
    a surrogate gradient, is nowhere to be had but in their code.
    """

    breaks = "weakness-strength"
    claim = "An adversarial image is either unstable under noise or far from every boundary, so two tests reject it."
    lesson = "If one test rejects small changes and another rejects large ones, search the line between them."

    def baselines(self, preset: str, threat: ThreatModel) -> Sequence[Recipe]:
        return [
            Recipe(
                name="PGD-40, defaults",
                attack=FoolboxAttack("LinfPGD"),
                role="baseline",
                library=FOOLBOX,
                published=0.915,
                source=f"{SOURCE}, white-box PGD on cross-entropy",
            ),
            Recipe(
                name="PGD-100, defaults",
                attack=ArtAttack("ProjectedGradientDescent", {"num_random_init": 1}),
                role="baseline",
                library=ART,
                published=0.915,
                source=f"{SOURCE}, white-box PGD on cross-entropy",
            ),
        ]

    def recipes(self, preset: str, threat: ThreatModel, model: DefendedModel) -> Sequence[Recipe]:
        confident = PGD(steps=100, judge="last")
        return [
            Recipe(name="standard", attack=Standard(), role="intermediate", criterion=UNFLAGGED),
            Recipe(
                name="PGD-100, margin",
                attack=confident,
                loss=Margin(),
                criterion=UNFLAGGED,
                role="intermediate",
                published=0.68,
                source=f"{SOURCE}, margin loss, at most",
            ),
            Recipe(
                name="way to the boundary",
                attack=Interpolation(attack=confident, bisections=20, votes=1),
                criterion=UNFLAGGED,
                role="intermediate",
            ),
            Recipe(
                name="bisection between the tests",
                attack=Interpolation(attack=confident, bisections=20, near=(NOISE_TEST,), votes=2),
                criterion=UNFLAGGED,
                restarts=2,
                published=0.0,
                source=SOURCE,
            ),
        ]
