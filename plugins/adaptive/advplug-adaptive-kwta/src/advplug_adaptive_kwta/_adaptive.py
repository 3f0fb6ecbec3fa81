"""How k-Winners-Take-All networks are broken (Tramer et al. 2020, appendix B)."""

from __future__ import annotations

from collections.abc import Sequence

from advplug_attack_pgd import PGD
from advplug_attack_standard import Standard

from advplug.adaptive import AdaptiveAttack, Recipe
from advplug.gradients import FiniteDifference
from advplug.interop.art import ArtAttack
from advplug.interop.foolbox import FoolboxAttack
from advplug.losses import Margin
from advplug.model import DefendedModel
from advplug.threat import ThreatModel

QUERIES = ((0, 20), (20, 100), (40, 500))
"""Queries per gradient, by step: most samples fall to a rough estimate, the rest are worth a better one."""

HARDER = (*QUERIES, (80, 2000))
"""For adversarially trained networks, whose loss is flatter."""

FOOLBOX, ART = "foolbox", "adversarial-robustness-toolbox"
CLAIM = "Xiao et al. 2020, CIFAR-10, ResNet-18, linf 0.031"
BREAK = "Tramer et al. 2020, appendix B, CIFAR-10, ResNet-18, linf 0.031"


class BreakKWTA(AdaptiveAttack):
    """Every jump of the activation makes the local gradient useless; averaged over the budget, the loss is smooth.

    Baselines: PGD of 40 steps on cross-entropy from a random start, as Foolbox has it by default (steps of a thirtieth
    of the budget), then with the step size of the defense's authors (0.003 for a budget of 0.031) in both libraries.
    """

    breaks = "kwta"
    claim = "A k-Winners-Take-All activation hides the gradient: 13.1 % robust accuracy, 50.0 % adversarially trained."
    lesson = "A discontinuous model is not stronger, only harder to differentiate: estimate the gradient from scores."

    def baselines(self, preset: str, threat: ThreatModel) -> Sequence[Recipe]:
        step = threat.budget * 0.003 / 0.031
        authors = {
            FOOLBOX: FoolboxAttack("LinfPGD", {"steps": 40, "abs_stepsize": step}),
            ART: ArtAttack("ProjectedGradientDescent", {"max_iter": 40, "eps_step": step, "num_random_init": 1}),
        }
        published = _published(preset, standard=0.131, trained=0.5)
        return [
            Recipe(name="PGD-40, default step", attack=FoolboxAttack("LinfPGD"), role="baseline", library=FOOLBOX),
            *(
                Recipe(
                    name="PGD-40, authors' step",
                    attack=attack,
                    role="baseline",
                    library=library,
                    published=published,
                    source=CLAIM,
                )
                for library, attack in authors.items()
            ),
        ]

    def recipes(self, preset: str, threat: ThreatModel, model: DefendedModel) -> Sequence[Recipe]:
        epsilon = threat.budget
        trained = preset.endswith("-at")
        return [
            Recipe(name="standard", attack=Standard(), role="intermediate"),
            Recipe(
                name="PGD-40, any iterate",
                attack=PGD(steps=40, step_size=epsilon / 30, random_start=True),
                role="intermediate",
            ),
            Recipe(
                name="PGD-400, default step",
                attack=FoolboxAttack("LinfPGD", {"steps": 400, "abs_stepsize": epsilon / 30}),
                role="intermediate",
                library=FOOLBOX,
            ),
            Recipe(
                name="PGD-400, any iterate",
                attack=PGD(steps=400, step_size=epsilon / 30),
                loss=Margin(),
                role="intermediate",
            ),
            Recipe(
                name="finite differences",
                attack=PGD(steps=120 if trained else 80, step_size=epsilon / 3, random_start=False),
                loss=Margin(),
                gradient=FiniteDifference(sigma=epsilon, queries=HARDER if trained else QUERIES, clip=False),
                published=_published(preset, standard=0.0, trained=0.0016),
                source=BREAK,
            ),
        ]


def _published(preset: str, *, standard: float, trained: float) -> float | None:
    """The figure that belongs to the preset; the controls with ReLU are ours."""
    if preset.endswith("-relu"):
        return None
    return trained if preset.endswith("-at") else standard
