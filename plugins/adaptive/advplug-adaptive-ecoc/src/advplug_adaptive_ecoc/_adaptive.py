"""How ensembles decoded by error-correcting output codes are broken (Tramer et al. 2020, appendix G)."""

from __future__ import annotations

from collections.abc import Sequence

from advplug_attack_pgd import PGD
from advplug_attack_standard import Standard

from advplug.adaptive import AdaptiveAttack, Recipe
from advplug.families import LinearReadout
from advplug.interop.art import ArtAttack
from advplug.interop.foolbox import FoolboxAttack
from advplug.losses import CrossEntropy, Margin
from advplug.model import DefendedModel
from advplug.threat import ThreatModel

FOOLBOX, ART = "foolbox", "adversarial-robustness-toolbox"
CLAIM = "Verma and Swami 2019, CIFAR-10, 16 bits, linf 0.031"
BREAK = "Tramer et al. 2020, appendix G, CIFAR-10, linf 0.031"
STEPS = 100
RESTARTS = 5
TARGETS_AT_ONCE = 15
"""All of them: what is left is few samples, whose batches alone would not fill a device."""


class BreakECOC(AdaptiveAttack):
    """The decoder's logarithm has a floor that most classes lie on, and tanh saturates: neither belongs into the loss.

    Baselines: PGD at Foolbox's defaults, then with the authors' 200 steps of two thirds of the budget in both
    libraries. The recipes change one component at a time. The answer of the deployed decoder decides in all of them.
    Targets are all other codewords, those of no class included, because any of these answers is wrong.
    """

    breaks = "ecoc"
    claim = "An ensemble of binary classifiers decoded by a Hadamard code keeps 57 % accuracy at linf 0.031."
    lesson = "The decoder can hide the gradient of the networks: compute the loss in front of the decoder."

    def baselines(self, preset: str, threat: ThreatModel) -> Sequence[Recipe]:
        step = threat.budget * 2 / 3
        authors = {
            FOOLBOX: FoolboxAttack("LinfPGD", {"steps": 200, "abs_stepsize": step}),
            ART: ArtAttack("ProjectedGradientDescent", {"max_iter": 200, "eps_step": step, "num_random_init": 1}),
        }
        return [
            Recipe(name="PGD-40, default step", attack=FoolboxAttack("LinfPGD"), role="baseline", library=FOOLBOX),
            *(
                Recipe(
                    name="PGD-200, authors' step",
                    attack=attack,
                    role="baseline",
                    library=library,
                    published=_published(preset, 0.57),
                    source=CLAIM,
                )
                for library, attack in authors.items()
            ),
        ]

    def recipes(self, preset: str, threat: ThreatModel, model: DefendedModel) -> Sequence[Recipe]:
        pgd = PGD(steps=STEPS, step_size=threat.budget / 10)
        hinge = LinearReadout("bits", "code", Margin())
        before_log = LinearReadout("activation", "code", CrossEntropy())
        before_tanh = LinearReadout("bits", "code", CrossEntropy())
        return [
            Recipe(name="standard", attack=Standard(), role="intermediate"),
            Recipe(name="PGD-100, any iterate", attack=pgd, role="intermediate"),
            Recipe(name="logarithm left out", attack=pgd, loss=before_log, role="intermediate"),
            Recipe(name="tanh left out", attack=pgd, loss=before_tanh, role="intermediate"),
            Recipe(
                name="hinge",
                attack=pgd,
                loss=hinge,
                role="intermediate",
                published=_published(preset, 0.2),
                source=f"{BREAK}: below",
            ),
            Recipe(
                name="hinge, each class",
                attack=pgd,
                loss=hinge,
                targets="each",
                targets_at_once=TARGETS_AT_ONCE,
                role="intermediate",
            ),
            Recipe(
                name=f"hinge, each class, {RESTARTS} restarts",
                attack=pgd,
                loss=hinge,
                targets="each",
                targets_at_once=TARGETS_AT_ONCE,
                restarts=RESTARTS,
                published=_published(preset, 0.05),
                source=f"{BREAK}: below",
            ),
        ]


def _published(preset: str, figure: float) -> float | None:
    """The figure that belongs to the preset; the controls without saturation are ours."""
    return None if preset.endswith("-unsaturated") else figure
