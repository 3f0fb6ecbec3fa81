"""How the statistical test of Roth et al. is passed (Tramer et al. 2020, appendix C)."""

from __future__ import annotations

from collections.abc import Sequence

from advplug_attack_pgd import PGD
from advplug_attack_standard import Standard

from advplug.adaptive import AdaptiveAttack, Recipe
from advplug.criteria import Accepted, Misclassified
from advplug.gradients import Smoothed
from advplug.interop.art import ArtAttack
from advplug.interop.foolbox import FoolboxAttack
from advplug.losses import LogitMatching
from advplug.model import DefendedModel
from advplug.threat import ThreatModel
from advplug_adaptive_odds._references import shipped, single

NOISE = {"mnist": 30 / 255, "cifar10": 0.03}
"""Standard deviation of the detector's noise, which the attack averages over."""

DRAWS, CLASSES = 10, 3
"""Noisy inputs for each gradient (the source has 40), and how many classes are tried, the likeliest first."""

FOOLBOX, ART = "foolbox", "adversarial-robustness-toolbox"
CLAIM = "Roth et al. 2019, detection rate, CIFAR-10, wide ResNet, linf 8/255"
BREAK = "Tramer et al. 2020, appendix C, share detected (nothing stays classified right), CIFAR-10, wide ResNet"

UNFLAGGED = Misclassified() & Accepted()


class BreakOdds(AdaptiveAttack):
    """The test adds two statistics; whoever lowers one raises the other, unless all logits are those of a clean image.

    Baselines: PGD on cross-entropy, as the libraries have it by default and with the ten steps of a fifth of the budget
    that the defense's authors took.
    """

    breaks = "odds"
    claim = "The logits of adversarial images drift differently under noise: 71.4 % of the images are detected."
    lesson = "Do not fight a detector's statistic: imitate a clean image in everything that the detector sees."

    def baselines(self, preset: str, threat: ThreatModel) -> Sequence[Recipe]:
        step = threat.budget / 5
        return [
            Recipe(name="PGD-40, defaults", attack=FoolboxAttack("LinfPGD"), role="baseline", library=FOOLBOX),
            Recipe(
                name="PGD-10, authors' step",
                attack=FoolboxAttack("LinfPGD", {"steps": 10, "abs_stepsize": step}),
                role="baseline",
                library=FOOLBOX,
                published=0.714,
                source=CLAIM,
            ),
            Recipe(
                name="PGD-10, authors' step",
                attack=ArtAttack("ProjectedGradientDescent", {"max_iter": 10, "eps_step": step, "num_random_init": 1}),
                role="baseline",
                library=ART,
                published=0.714,
                source=CLAIM,
            ),
        ]

    def recipes(self, preset: str, threat: ThreatModel, model: DefendedModel) -> Sequence[Recipe]:
        epsilon, references = threat.budget, shipped(preset)
        # Through the noise itself the gradient is that of the model; the input joins as one more draw.
        noise = Smoothed(NOISE[preset], DRAWS, clip=True, centre=True)
        constant = PGD(step_size=2.5 * epsilon / 100, steps=100, random_start=False, judge="last")
        decaying = PGD(step_size=epsilon / 10, steps=100, random_start=False, schedule="cosine", judge="last")
        return [
            Recipe(name="standard", attack=Standard(), role="intermediate", criterion=UNFLAGGED),
            Recipe(
                name="PGD-40, EOT on cross-entropy",
                attack=PGD(steps=40, judge="last"),
                gradient=noise,
                criterion=UNFLAGGED,
                role="intermediate",
            ),
            Recipe(
                name="one clean image's logits",
                attack=constant,
                loss=LogitMatching(single(references), by="class"),
                criterion=UNFLAGGED,
                role="intermediate",
                published=0.163,
                source=BREAK,
            ),
            Recipe(
                name=f"logits, {CLASSES} likeliest classes",
                attack=decaying,
                loss=LogitMatching(references, by="class"),
                criterion=UNFLAGGED,
                num_targets=CLASSES,
                role="intermediate",
            ),
            Recipe(
                name="the same, EOT over the noise",
                attack=decaying,
                loss=LogitMatching(references, by="class"),
                gradient=noise,
                criterion=UNFLAGGED,
                num_targets=CLASSES,
                published=0.0,
                source=BREAK,
            ),
        ]
